//! The store as a whole: against an oracle in memory, with crashes at every byte, damaged bits and
//! failing disks.

mod basics;
mod crashes;
mod damage;
mod faults;
mod full;
mod oracle;
mod rig;
