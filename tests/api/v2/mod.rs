mod images;
mod info;
mod schemas;
