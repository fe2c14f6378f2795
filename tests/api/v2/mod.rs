mod actions;
mod members;
mod images;
mod info;
mod schemas;
