mod create;
mod file;
mod list;
mod patch;
mod show;
