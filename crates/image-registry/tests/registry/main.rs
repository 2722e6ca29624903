//! The registry over HTTP, as clients see it: a real listener on the loopback interface, raw requests,
//! and real Skopeo.

mod authorization;
mod disk_full;
mod garbage;
mod lists;
mod manifests;
mod pull;
mod push;
mod server;
mod skopeo;
