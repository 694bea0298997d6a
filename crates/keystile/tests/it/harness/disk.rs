//! A disk of its own for a data directory, where the tests may mount one.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system, unmounted when it is dropped.
#[derive(Debug)]
pub(crate) struct Disk {
    at: PathBuf,
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

impl Disk {
    /// A few MiB of memory.
    pub(crate) fn small(at: &Path) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=4m", "tmpfs"];
        succeeds("mount", &[&options, &[text(at)][..]].concat()).then(|| Self { at: at.to_owned() })
    }

    /// An ext4 in a file, which turns read-only when the kernel meets an error.
    pub(crate) fn fragile(at: &Path, image: &Path) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let file = std::fs::File::create(image).unwrap();
        file.set_len(32 << 20).unwrap();
        let disk = Self { at: at.to_owned() };
        let is_made = succeeds("mkfs.ext4", &["-q", "-F", text(image)]);
        (is_made && disk.mount_image(image)).then_some(disk)
    }

    pub(crate) fn mount_image(&self, image: &Path) -> bool {
        let options = ["-o", "loop,errors=remount-ro", text(image), text(&self.at)];
        succeeds("mount", &options)
    }

    /// Uses up the last byte.
    pub(crate) fn fill(&self) {
        assert!(std::fs::write(self.at.join("filler"), vec![0; 8 << 20]).is_err());
    }

    pub(crate) fn free(&self) {
        std::fs::remove_file(self.at.join("filler")).unwrap();
    }

    /// Lets the kernel meet an error; says whether that made the disk read-only.
    pub(crate) fn turn_read_only(&self) -> bool {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let device = mounts
            .lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(_, rest)| rest.starts_with(text(&self.at)))
            .and_then(|(device, _)| device.rsplit_once('/'))
            .map(|(_, name)| name.to_owned())
            .unwrap();
        let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
        std::fs::write(trigger, "1").is_ok() && std::fs::write(self.at.join("probe"), "1").is_err()
    }

    /// Lets the kernel hold every write; says whether this kernel does that.
    pub(crate) fn freeze(&self) -> bool {
        succeeds("fsfreeze", &["-f", text(&self.at)])
    }

    pub(crate) fn thaw(&self) {
        assert!(succeeds("fsfreeze", &["-u", text(&self.at)]));
    }

    /// Makes it `ro` or `rw`.
    pub(crate) fn remount(&self, how: &str) {
        assert!(succeeds("mount", &["-o", &format!("remount,{how}"), text(&self.at)]));
    }

    pub(crate) fn unmount(&self) {
        assert!(succeeds("umount", &[text(&self.at)]));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What waits for a frozen disk cannot even be killed.
        succeeds("fsfreeze", &["-u", text(&self.at)]);
        // A server that a failing test left behind may still hold it.
        succeeds("umount", &["-l", text(&self.at)]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
