//! Configurations, keys and folders, from outside: a test of the library itself would compile all
//! of consensus a second time.

mod config;
mod data_dir;
mod keys;
mod network;
