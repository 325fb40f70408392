//! The whole, from outside: real processes of the real binary, and the shape of the workspace.

mod it {
    mod alone;
    mod demo;
    mod layers;
    mod network;
    mod support;
}
