//! Who holds something in a cache, and whether that process still lives.
//!
//! Several machines write to one volume. A process number alone proves nothing there, so an owner is
//! named by host, boot, pid namespace, process number and start time, and by a random id that no two
//! processes share. [`OwnerId::liveness`] decides in this order:
//!
//! 1. Same host name, same boot, same pid namespace: the kernel's process table decides. No process
//!    with that number, or one that started at another time, is proof of death, however fresh the last
//!    heartbeat is. So a crashed download is taken over at once by the next run.
//! 2. Everything else is decided by the heartbeat alone. Another boot id under the same host name is
//!    *no* proof: pods of a stateful set keep their host name, and the old one may still run on a node
//!    that lost its network.
//!
//! The heartbeat is a file's modification time, compared with that of a file touched just now on the
//! same volume ([`VolumeClock`]): the clocks of the machines need not agree.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::heartbeat::HEARTBEAT_INTERVAL;
use crate::volume::{self, Writability};

/// Silence after which an owner that cannot be looked up counts as dead.
///
/// Twelve missed beats. It must stay well above the time for which a network file system may show an
/// old modification time (`acregmax` of NFS is 60 s).
pub const SILENT_AFTER: Duration = Duration::from_secs(120);

/// A process, named so that no other process on any machine has the same name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OwnerId {
    /// Host name as the kernel gives it; the pod's name in a cluster.
    pub host: String,
    /// Random id of the kernel's boot, where it can be read.
    pub boot_id: Option<String>,
    /// Inode of the pid namespace, where it can be read.
    pub pid_namespace: Option<u64>,
    /// Process number inside that namespace.
    pub pid: u32,
    /// When the process started, in clock ticks since boot.
    pub start_time: Option<u64>,
    /// 16 random hexadecimal digits, new for each process.
    pub id: String,
}

/// What is known of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Liveness {
    /// It runs, or gave a sign a moment ago.
    Alive,
    /// It is gone: the kernel says so, or it has been silent for [`SILENT_AFTER`].
    Dead,
    /// Neither is known. What it holds must be left alone.
    Unknown,
}

impl OwnerId {
    /// The owner that this process is; the same for its whole life.
    pub fn this_process() -> &'static Self {
        static THIS: OnceLock<OwnerId> = OnceLock::new();
        THIS.get_or_init(|| Self {
            host: host_name(),
            boot_id: read_boot_id(),
            pid_namespace: read_pid_namespace(),
            pid: std::process::id(),
            start_time: match process_state("self") {
                ProcessState::Running { start_time } => Some(start_time),
                ProcessState::Gone | ProcessState::Unreadable => None,
            },
            id: format!("{:016x}", rand::random::<u64>()),
        })
    }

    /// Someone of whom nothing is known: only silence can prove that they are gone.
    pub(crate) fn unknown() -> Self {
        Self { host: String::new(), boot_id: None, pid_namespace: None, pid: 0, start_time: None, id: String::new() }
    }

    /// The random id: 16 hexadecimal digits, fit for a file name.
    pub fn short(&self) -> &str {
        &self.id
    }

    /// Whether this process is the owner.
    pub fn is_this_process(&self) -> bool {
        self == Self::this_process()
    }

    /// Whether the owner still lives. `seen` is the age of its last heartbeat on the volume's own clock;
    /// `None` when the heartbeat could not be read.
    pub fn liveness(&self, seen: Option<Duration>) -> Liveness {
        self.liveness_from(Self::this_process(), seen)
    }

    fn liveness_from(&self, observer: &Self, seen: Option<Duration>) -> Liveness {
        if self.id == observer.id {
            return Liveness::Alive;
        }
        if self.shares_process_table(observer)
            && let Some(started) = self.start_time
        {
            match process_state(&self.pid.to_string()) {
                ProcessState::Running { start_time } if start_time == started => return Liveness::Alive,
                ProcessState::Running { .. } | ProcessState::Gone => return Liveness::Dead,
                ProcessState::Unreadable => {}
            }
        }
        match seen {
            Some(age) if age > SILENT_AFTER => Liveness::Dead,
            Some(age) if age <= HEARTBEAT_INTERVAL * 3 => Liveness::Alive,
            Some(_) | None => Liveness::Unknown,
        }
    }

    /// Virtual machines that were cloned while running share a boot id, hence the host name as well.
    fn shares_process_table(&self, other: &Self) -> bool {
        self.host == other.host
            && self.boot_id.is_some()
            && self.boot_id == other.boot_id
            && self.pid_namespace.is_some()
            && self.pid_namespace == other.pid_namespace
    }
}

impl std::fmt::Display for OwnerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn read_boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|id| !id.is_empty())
}

/// The link reads `pid:[4026531836]`.
fn read_pid_namespace() -> Option<u64> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
}

#[derive(Debug, PartialEq, Eq)]
enum ProcessState {
    Running { start_time: u64 },
    Gone,
    Unreadable,
}

fn process_state(pid: &str) -> ProcessState {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(text) => parse_stat(&text),
        // A `hidepid` mount hides the processes of other users: only the signal check tells them from dead ones.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !signal_finds(pid) => ProcessState::Gone,
        // The process ended between open and read.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => ProcessState::Gone,
        Err(_) => ProcessState::Unreadable,
    }
}

/// Whether the kernel knows the process, whoever's it is. Where that cannot be asked the answer is yes.
fn signal_finds(pid: &str) -> bool {
    let Some(pid) = pid.parse().ok().and_then(rustix::process::Pid::from_raw) else { return true };
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

/// Reads `/proc/PID/stat`. The command name stands in parentheses and may hold spaces and parentheses,
/// so fields are counted from the last one on: state is field 3, the start time field 22.
/// Source: `proc_pid_stat(5)`.
fn parse_stat(text: &str) -> ProcessState {
    let Some((_, fields)) = text.rsplit_once(')') else { return ProcessState::Unreadable };
    let fields: Vec<&str> = fields.split_whitespace().collect();
    match (fields.first(), fields.get(19).and_then(|field| field.parse().ok())) {
        // A zombie holds nothing any more; its parent only has not looked yet.
        (Some(&("Z" | "X" | "x")), _) => ProcessState::Gone,
        (Some(_), Some(start_time)) => ProcessState::Running { start_time },
        _ => ProcessState::Unreadable,
    }
}

/// The time as one volume tells it.
#[derive(Debug, Clone, Copy)]
pub struct VolumeClock {
    read: SystemTime,
    at: Instant,
}

impl VolumeClock {
    /// Asks the volume that `folder` is on, by making a file there and removing it again.
    ///
    /// # Errors
    /// Any error of making the file; the folder must exist. Where this user may not make it, none is tried.
    pub fn read(folder: &Path) -> io::Result<Self> {
        match volume::writability(folder)? {
            Writability::Writable => {}
            Writability::ReadOnly => return Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            Writability::Denied => return Err(io::ErrorKind::PermissionDenied.into()),
        }
        let probe = folder.join(format!(".clock-{}-{:08x}", OwnerId::this_process().short(), rand::random::<u32>()));
        let at = Instant::now();
        let file = OpenOptions::new().write(true).create_new(true).open(&probe)?;
        let read = file.metadata().and_then(|metadata| metadata.modified());
        fs::remove_file(&probe)?;
        Ok(Self { read: read?, at })
    }

    /// This machine's clock, for a volume that must not be written to.
    pub fn of_this_machine() -> Self {
        Self { read: SystemTime::now(), at: Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> SystemTime {
        self.read + self.at.elapsed()
    }

    /// How long ago a file or folder was last touched; zero when that lies in the future.
    ///
    /// It is opened first: network file systems show the true times of a file that was just opened.
    ///
    /// # Errors
    /// Any error of reading the file's metadata.
    pub fn age(&self, path: &Path) -> io::Result<Duration> {
        // A pipe in its place would let the open wait.
        let open = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path);
        let metadata = match open.and_then(|file| file.metadata()) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => fs::metadata(path)?,
            other => other?,
        };
        let touched = metadata.modified()?;
        Ok(self.now().duration_since(touched).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Option<Duration> = Some(Duration::from_secs(5));
    const SILENT: Option<Duration> = Some(Duration::from_secs(121));

    fn other(change: impl FnOnce(&mut OwnerId)) -> OwnerId {
        let mut owner = OwnerId { id: "00000000deadbeef".to_owned(), ..OwnerId::this_process().clone() };
        change(&mut owner);
        owner
    }

    #[track_caller]
    fn check(owner: &OwnerId, seen: Option<Duration>, expected: Liveness) {
        assert_eq!(owner.liveness(seen), expected, "{owner:?} seen {seen:?}");
    }

    #[test]
    fn this_process_is_named_in_full_and_alive() {
        let owner = OwnerId::this_process();
        assert!(owner.boot_id.is_some() && owner.pid_namespace.is_some() && owner.start_time.is_some());
        assert!(owner.short().len() == 16 && owner.short().bytes().all(|byte| byte.is_ascii_hexdigit()));
        check(owner, SILENT, Liveness::Alive);
        let json = serde_json::to_string(owner).expect("serializes");
        assert_eq!(&serde_json::from_str::<OwnerId>(&json).expect("parses"), owner);
    }

    #[test]
    fn the_process_table_decides_on_the_same_boot() {
        check(&other(|_| {}), SILENT, Liveness::Alive);
        check(&other(|owner| owner.start_time = Some(1)), FRESH, Liveness::Dead);
        // Larger than any `pid_max`.
        check(&other(|owner| owner.pid = 5_000_000), FRESH, Liveness::Dead);
    }

    #[test]
    fn a_killed_child_is_dead_even_before_its_parent_looked() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("spawns");
        let pid = child.id();
        let ProcessState::Running { start_time } = process_state(&pid.to_string()) else { panic!("child runs") };
        let owner = other(|owner| (owner.pid, owner.start_time) = (pid, Some(start_time)));
        check(&owner, SILENT, Liveness::Alive);
        child.kill().expect("kills");
        let deadline = Instant::now() + Duration::from_secs(10);
        while owner.liveness(FRESH) != Liveness::Dead {
            assert!(Instant::now() < deadline, "the zombie still counts as alive");
            std::thread::yield_now();
        }
        child.wait().expect("reaps");
        check(&owner, FRESH, Liveness::Dead);
    }

    #[test]
    fn elsewhere_only_silence_proves_death() {
        let rebooted = other(|owner| owner.boot_id = Some("another".to_owned()));
        let container = other(|owner| owner.pid_namespace = Some(1));
        let degraded = other(|owner| (owner.boot_id, owner.pid_namespace, owner.start_time) = (None, None, None));
        let elsewhere = other(|owner| owner.host = "another".to_owned());
        for mut owner in [rebooted, container, degraded, elsewhere] {
            owner.pid = 5_000_000;
            check(&owner, FRESH, Liveness::Alive);
            check(&owner, Some(Duration::from_secs(60)), Liveness::Unknown);
            check(&owner, None, Liveness::Unknown);
            check(&owner, SILENT, Liveness::Dead);
        }
    }

    #[test]
    fn a_command_name_with_parentheses_does_not_move_the_fields() {
        let rest = "S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0";
        for name in ["sleep", "a) S 1 (b", "x y"] {
            let expected = ProcessState::Running { start_time: 777 };
            assert_eq!(parse_stat(&format!("42 ({name}) {rest}")), expected, "{name}");
        }
        assert_eq!(parse_stat(&format!("42 (x) {}", rest.replace('S', "Z"))), ProcessState::Gone);
        assert_eq!(parse_stat("nonsense"), ProcessState::Unreadable);
        assert_eq!(parse_stat("42 (x) S 1"), ProcessState::Unreadable);
    }

    #[test]
    fn the_volume_clock_measures_ages_and_leaves_no_file() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("beat");
        let file = fs::File::create(&path).expect("creates");
        let clock = VolumeClock::read(folder.path()).expect("reads");
        assert!(clock.age(&path).expect("reads") < Duration::from_secs(5));
        file.set_modified(clock.now() - Duration::from_secs(500)).expect("sets");
        assert!(clock.age(&path).expect("reads") >= Duration::from_secs(499));
        file.set_modified(clock.now() + Duration::from_secs(500)).expect("sets");
        assert_eq!(clock.age(&path).expect("reads"), Duration::ZERO);
        assert_eq!(fs::read_dir(folder.path()).expect("reads").count(), 1);
    }
}
