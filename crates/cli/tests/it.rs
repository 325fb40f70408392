//! The whole, from outside: real processes of the real binary, and the shape of the workspace.

#[path = "it"]
mod processes {
    mod alone;
    mod bench;
    mod cluster;
    mod demo;
    mod disks;
    mod faults;
    mod layers;
    mod load;
    mod network;
    mod partitions;
    mod relay;
    mod state;
    mod support;
    mod sync;
    mod transactions;
}
