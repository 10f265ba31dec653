//! File systems of one's own to take the power from, on Linux as root.
//!
//! Everything happens in a mount namespace of this process: whatever ends it,
//! a panic or SIGKILL, its mounts end with it, and a loop device that `mount`
//! set up goes with its mount. The images stand in a tmpfs of that namespace,
//! so nothing is left on the machine, and a sync costs no wait for a disk.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tempfile::TempDir;

/// Set in the process that has the namespace.
const INSIDE: &str = "ESKER_POWER_INSIDE";
/// What a file system's image may take; xfs wants 300 MiB.
const IMAGE_BYTES: u64 = 384 << 20;

/// Shuts the file system down as if the power went: nothing more is written,
/// neither data nor the journal's buffers (`XFS_FSOP_GOING_FLAGS_NOLOGFLUSH`).
///
/// The ioctl is issued by perl. From Rust it takes `unsafe`, which this package
/// allows in one module of the engine only, and no crate has a safe call for
/// it. Perl's interpreter is in Debian's essential set (perl-base), issues any
/// ioctl, and can be started beforehand, so that the moment is when it is told
/// to and not some milliseconds later. `xfs_io -x -c shutdown` does the same to
/// both file systems, but is there only with xfsprogs, and starts first.
/// The number is `_IOR('X', 125, __u32)` as on x86, Arm and RISC-V; where a
/// machine has another, the ioctl is refused and the test skipped.
const SHUTDOWN: &str = r#"
    open(my $dir, "<", $ARGV[0]) or die "open: $!\n";
    my $flags = pack("L", 2);
    syswrite(STDOUT, "armed\n");
    defined(<STDIN>) or exit 0;
    ioctl($dir, 0x8004587D, $flags) or die "ioctl: $!\n";
    syswrite(STDOUT, "down\n");
"#;

/// Why something cannot be tested here.
pub struct Skipped(pub String);

/// A file system, and how it is mounted.
pub struct Kind {
    pub name: &'static str,
    pub mkfs: &'static [&'static str],
    pub options: &'static str,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.options)
    }
}

/// Goes into a mount namespace of its own, by becoming another process, and
/// makes room for the images there.
pub fn enter() -> Result<Ground, Skipped> {
    if !cfg!(target_os = "linux") {
        return Err(Skipped("not Linux".into()));
    }
    if output("id", ["-u"])?.trim() != "0" {
        return Err(Skipped("needs root".into()));
    }
    const UNSHARE: [&str; 3] = ["--mount", "--propagation", "private"];
    if std::env::var_os(INSIDE).is_none() {
        run("unshare", UNSHARE.iter().chain(&["true"]))?;
        let mut unshare = Command::new("unshare");
        unshare.args(UNSHARE).arg(std::env::current_exe().expect("this program"));
        unshare.args(std::env::args_os().skip(1)).env(INSIDE, "1");
        return Err(Skipped(format!("unshare: {}", become_it(&mut unshare))));
    }
    run("perl", ["-e", "1"])?;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().display().to_string();
    run("mount", ["-t", "tmpfs", "-o", "size=400m", "tmpfs", &path])?;
    Ok(Ground { dir: Some(dir) })
}

/// Becomes `program`, so that whatever ends this process ends the namespace;
/// returns if that fails.
#[cfg(unix)]
fn become_it(program: &mut Command) -> std::io::Error {
    std::os::unix::process::CommandExt::exec(program)
}

#[cfg(not(unix))]
fn become_it(_program: &mut Command) -> std::io::Error {
    std::io::ErrorKind::Unsupported.into()
}

/// Where the images are: a mounted tmpfs.
pub struct Ground {
    dir: Option<TempDir>,
}

impl Ground {
    fn path(&self) -> &Path {
        self.dir.as_ref().expect("there until dropped").path()
    }

    /// Makes a file system of `kind`, in place of the one before, and sees
    /// whether it can be mounted and shut down here.
    pub fn make(&self, kind: &'static Kind) -> Result<Disk<'_>, Skipped> {
        if !Path::new("/dev/loop-control").exists() {
            return Err(Skipped("no loop devices".into()));
        }
        let disk = Disk { ground: self, kind, image: self.path().join("image") };
        if disk.image.exists() {
            std::fs::remove_file(&disk.image).expect("our own file");
        }
        std::fs::File::create(&disk.image)
            .and_then(|image| image.set_len(IMAGE_BYTES))
            .map_err(|e| Skipped(format!("an image: {e}")))?;
        let mkfs = format!("mkfs.{}", kind.name);
        run(&mkfs, kind.mkfs.iter().copied().chain([disk.image.to_str().expect("UTF-8")]))?;
        disk.mount()?.arm()?.cut()?;
        Ok(disk)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let dir = self.dir.take().expect("dropped once");
        // The directory can be removed once nothing is mounted on it.
        unmount(dir.path());
    }
}

/// The image of a file system.
pub struct Disk<'a> {
    ground: &'a Ground,
    kind: &'static Kind,
    image: PathBuf,
}

impl Disk<'_> {
    /// Mounts it, so that the file system recovers from its journal.
    pub fn mount(&self) -> Result<Mounted, Skipped> {
        let point = self.ground.path().join("mounted");
        std::fs::create_dir_all(&point).map_err(|e| Skipped(format!("a directory: {e}")))?;
        let options = format!("loop,{}", self.kind.options);
        let (image, at) = (self.image.to_str(), point.to_str());
        let (image, at) = (image.expect("UTF-8"), at.expect("UTF-8"));
        run("mount", ["-t", self.kind.name, "-o", &options, image, at])?;
        Ok(Mounted { point })
    }
}

/// A mounted file system; unmounted when it goes out of scope.
pub struct Mounted {
    point: PathBuf,
}

impl Mounted {
    pub fn database(&self) -> PathBuf {
        self.point.join("db")
    }

    /// From here on nothing can be written to it.
    pub fn become_read_only(&self) -> Result<(), Skipped> {
        run("mount", ["-o", "remount,ro", self.point.to_str().expect("UTF-8")])
    }

    /// Gets ready to take its power away.
    pub fn arm(&self) -> Result<Armed, Skipped> {
        let mut perl = Command::new("perl")
            .args(["-e", SHUTDOWN])
            .arg(&self.point)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| Skipped(format!("perl: {e}")))?;
        let input = perl.stdin.take();
        let output = BufReader::new(perl.stdout.take().expect("piped"));
        let mut armed = Armed { perl, input, output };
        armed.expect("armed\n")?;
        Ok(armed)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(&self.point);
    }
}

/// A process that shuts a file system down as soon as it is told to.
pub struct Armed {
    perl: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Armed {
    /// Takes the power away; on return it is gone.
    pub fn cut(mut self) -> Result<(), Skipped> {
        let input = self.input.as_mut().expect("there until dropped");
        input.write_all(b"cut\n").map_err(|e| Skipped(format!("perl: {e}")))?;
        self.expect("down\n")
    }

    fn expect(&mut self, line: &str) -> Result<(), Skipped> {
        let mut said = String::new();
        self.output.read_line(&mut said).expect("a pipe can be read");
        if said == line {
            Ok(())
        } else {
            Err(Skipped(format!("perl could not shut it down: {said:?}")))
        }
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        // The end of its input ends it. While it lives, the mount is busy.
        self.input = None;
        self.perl.wait().expect("waited for");
    }
}

fn unmount(point: &Path) {
    if let Err(Skipped(why)) = run("umount", [point]) {
        // Nothing may be lost sight of, but a panic in a panic would hide the first.
        assert!(std::thread::panicking(), "{why}");
        eprintln!("{why}");
    }
}

fn run(program: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<(), Skipped> {
    output(program, args).map(drop)
}

/// What `program` says. Root's path need not have the folders of the system's programs.
fn output(
    program: &str,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<String, Skipped> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(program).args(args).env("PATH", path).stdin(Stdio::null()).output();
    let output = output.map_err(|e| Skipped(format!("no {program}: {e}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(Skipped(format!("{program} refused: {}", why.trim().replace('\n', "; "))))
}
