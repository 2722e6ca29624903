//! `--try`: the .deb on a fresh Debian, from its installation to its purge.

use anyhow::{Result, ensure};

use super::Release;
use super::chroot::Debian;

const UNITS: &str = "usr/lib/systemd/system";
/// What an administrator has added.
const OWN_LINE: &str = "OUTPORT_REGION=eu-west-1\n";

pub fn run(release: &Release, mirror: &str) -> Result<()> {
    let debian = Debian::bootstrap(release.scratch.join("debian"), &[], release, mirror)?;
    debian.make_next(release)?;
    debian.install()?;
    debian.check_installed(&release.version)?;
    println!("    installed; nothing is enabled; `outport --version` is {}", release.version);

    let default = debian.root.join("etc/default/outport");
    let changed = std::fs::read_to_string(&default)? + OWN_LINE;
    std::fs::write(&default, &changed)?;
    std::fs::create_dir_all(debian.root.join("var/lib/outport/control"))?;
    debian.execute(&["dpkg", "--install", "/next.deb"])?;
    debian.check_installed(&release.version)?;
    ensure!(
        std::fs::read_to_string(&default)? == changed,
        "the upgrade has changed {}",
        default.display()
    );
    println!("    upgraded; the settings are what they were");

    debian.execute(&["dpkg", "--remove", "outport"])?;
    ensure!(
        !debian.has("usr/bin/outport") && default.exists(),
        "removal takes all but the settings"
    );
    debian.execute(&["dpkg", "--purge", "outport"])?;
    ensure!(
        !default.exists() && debian.has("var/lib/outport/control"),
        "purge takes all but the data"
    );
    println!("    removed and purged; the data is kept");
    Ok(())
}

impl Debian {
    fn check_installed(&self, version: &str) -> Result<()> {
        let said = self.execute(&["/usr/bin/outport", "--version"])?;
        ensure!(said.starts_with(&format!("outport {version} (")), "it says {said}");
        // Says each file that is not what the package has; changed settings are marked with a c.
        let differences = self.execute(&["dpkg", "--verify", "outport"])?;
        let other = differences.lines().find(|line| !line.ends_with(" c /etc/default/outport"));
        ensure!(other.is_none(), "not as in the package: {differences}");
        for (unit, _) in super::deb::UNITS {
            ensure!(self.has(&format!("{UNITS}/{unit}")), "{unit} is missing");
            let link = format!("etc/systemd/system/multi-user.target.wants/{unit}");
            ensure!(!self.has(&link), "{unit} is enabled");
        }
        for program in ["usr/sbin/nft", "usr/sbin/mkfs.ext4"] {
            ensure!(self.has(program), "{program} is missing");
        }
        Ok(())
    }
}
