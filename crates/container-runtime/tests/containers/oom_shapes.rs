//! Ways to run out of memory, drawn: who eats, whose limit it meets, how the container ends. A death for memory is
//! told from any other, and one that is only a child's is not the container's.
//!
//! `OUTPORT_OOM_SHAPES` and `OUTPORT_OOM_SEED` change how many there are and the seed of the first: a campaign
//! (`cargo xtask campaign escape`) runs this test with many. A failure names its shape and seed.

use outport_container_runtime::CgroupLimits;

use crate::host::{Host, TASK, ended};

const SHAPES: u64 = 16;
const MIB: u64 = 1 << 20;

#[derive(Debug, Clone, Copy)]
enum Eater {
    /// The first process itself.
    First,
    /// A child, whose end the first process reports as its own.
    Reported,
    /// A child, after which the first process goes on and ends as it likes.
    Child,
    /// A child's child, the same.
    Grandchild,
    /// Several children at one time, the same.
    Children,
    /// Nobody: the first process ends as it likes.
    Nobody,
    /// Nobody: a child is killed by hand, and the first process reports that as its own end.
    Killed,
}

#[derive(Debug, Clone, Copy)]
enum Limit {
    Container,
    Task,
    Both,
}

#[derive(Debug)]
struct Shape {
    eater: Eater,
    limit: Limit,
    limit_mib: u64,
    reservation_mib: Option<u64>,
    /// How the first process ends where it may.
    code: i32,
    pids_max: Option<u64>,
}

impl Shape {
    fn draw(seed: u64) -> Shape {
        // SplitMix64.
        let mut state = seed;
        let mut below = |end: u64| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) % end
        };
        let eaters = [
            Eater::First,
            Eater::Reported,
            Eater::Child,
            Eater::Grandchild,
            Eater::Children,
            Eater::Nobody,
            Eater::Killed,
        ];
        let limit_mib = 12 + below(36);
        Shape {
            eater: eaters[below(eaters.len() as u64) as usize],
            limit: [Limit::Container, Limit::Task, Limit::Both][below(3) as usize],
            limit_mib,
            reservation_mib: (below(2) == 0).then(|| 4 + below(limit_mib - 4)),
            // 137 too: said and not died.
            code: [0, 1, 3, 42, 137][below(5) as usize],
            pids_max: (below(3) == 0).then(|| 32 + below(100)),
        }
    }

    fn script(&self) -> String {
        let Shape { code, .. } = self;
        match self.eater {
            Eater::First => "exec tail /dev/zero".to_owned(),
            Eater::Reported => "tail /dev/zero; exit $?".to_owned(),
            Eater::Child => format!("tail /dev/zero; exit {code}"),
            Eater::Grandchild => format!("sh -c 'tail /dev/zero; exit 5'; exit {code}"),
            Eater::Children => {
                format!("tail /dev/zero & tail /dev/zero & tail /dev/zero & wait; exit {code}")
            }
            Eater::Nobody => format!("exit {code}"),
            Eater::Killed => "sleep 100 & kill -9 $!; wait $!; exit $?".to_owned(),
        }
    }

    /// Exit code, and whether it is a death for memory. A container that ends with 137 after the kernel killed in it
    /// for memory is one, as Docker and the ECS agent take it: whose end it reports cannot be seen.
    fn expected(&self) -> (Option<i32>, bool) {
        match self.eater {
            Eater::First | Eater::Reported => (Some(137), true),
            Eater::Child | Eater::Grandchild | Eater::Children => {
                (Some(self.code), self.code == 137)
            }
            Eater::Nobody => (Some(self.code), false),
            Eater::Killed => (Some(137), false),
        }
    }

    fn check(&self, seed: u64) {
        let host = Host::new();
        let bytes = |mib: u64| Some(mib * MIB);
        if let Limit::Task | Limit::Both = self.limit {
            let limits =
                CgroupLimits { memory_bytes: bytes(self.limit_mib), ..CgroupLimits::default() };
            host.runtime.create_task_cgroup(TASK, &limits).unwrap();
        }
        let mut spec = host.shell(&self.script());
        spec.limits.memory_bytes = match self.limit {
            Limit::Container => bytes(self.limit_mib),
            Limit::Both => bytes(self.limit_mib + 1),
            Limit::Task => None,
        };
        spec.limits.memory_reservation_bytes = self.reservation_mib.and_then(bytes);
        spec.limits.pids_max = self.pids_max;
        let shim = host.start("shape", spec);
        let record = ended(&shim);
        let seen = (record.exit_code, record.oom_killed);
        assert_eq!(seen, self.expected(), "seed {seed}: {self:?}: {record:?}");
        host.remove("shape");
        host.check_nothing_left();
    }
}

#[test]
fn deaths_for_memory_are_told_from_others() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("OUTPORT_OOM_SEED").unwrap_or(1);
    let shapes = number("OUTPORT_OOM_SHAPES").unwrap_or(SHAPES);
    for seed in first..first.saturating_add(shapes) {
        Shape::draw(seed).check(seed);
    }
    println!("{shapes} shapes of running out of memory");
}
