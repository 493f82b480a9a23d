//! System calls of the real process that change files, as `strace` saw them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Run, World};
use crate::wrapped::wrapped;

/// Everything that opens a file, or changes one, a name or a lock.
const CALLS: &str = "open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,rename,renameat,renameat2,unlink,unlinkat,\
    rmdir,link,linkat,symlink,symlinkat,chmod,fchmod,fchmodat,?fchmodat2,chown,fchown,lchown,fchownat,utime,utimes,\
    utimensat,futimesat,truncate,ftruncate,fallocate,setxattr,lsetxattr,fsetxattr,flock";

/// Flags of an open that may change something.
const WRITE_FLAGS: [&str; 6] = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND", "O_TMPFILE"];

/// The calls of a run.
pub(crate) struct Trace {
    calls: Vec<String>,
}

/// Runs a command to its end and tells its calls; those of its children and threads as well.
#[track_caller]
pub(crate) fn traced(world: &World, command: &Command) -> (Run, Trace) {
    let log = world.folder().join("trace");
    let log_text = log.display().to_string();
    let words = ["strace", "-f", "-qq", "-y", "-s", "4096", "-o", &log_text, "-e"];
    let calls = format!("trace={CALLS}");
    let run = world.finish(&mut wrapped(&[&words[..], &[&calls]].concat(), command));
    let text = fs::read_to_string(&log).unwrap_or_else(|error| panic!("no trace: {error}\n{}", run.stderr()));
    (run, Trace { calls: text.lines().map(str::to_owned).collect() })
}

impl Trace {
    /// The calls that tried to change something below a folder.
    pub(crate) fn writes_below(&self, folder: &Path) -> Vec<&str> {
        self.below(folder).filter(|call| is_write(call)).collect()
    }

    /// How many files below a folder were opened to be read: a trace that saw none proves nothing.
    pub(crate) fn reads_below(&self, folder: &Path) -> usize {
        self.below(folder).filter(|call| !is_write(call) && !call.contains("ENOENT")).count()
    }

    fn below(&self, folder: &Path) -> impl Iterator<Item = &str> {
        let folder = folder.display().to_string();
        self.calls.iter().map(String::as_str).filter(move |call| call.contains(&folder))
    }
}

fn is_write(call: &str) -> bool {
    // `PID name(arguments) = result`
    let name = call.split_whitespace().nth(1).and_then(|rest| rest.split('(').next()).unwrap_or_default();
    !name.starts_with("open") || WRITE_FLAGS.iter().any(|flag| call.contains(flag))
}
