//! Whether files have changed, by looking at them now and then.
//!
//! What is compared is what the system says of a file: which one it is, its size and its times. Links are followed, so
//! that a link that is set to another folder, as Kubernetes does with a `ConfigMap`, is a change of what lies there.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Files and folders that a configuration refers to, its own file among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Referred {
    /// Single files.
    pub files: Vec<PathBuf>,
    /// Folders, with all files in them.
    pub folders: Vec<PathBuf>,
}

/// One file at one moment: device, inode, size, and when content and entry were changed; `None` for no file.
type Stamp = Option<(u64, u64, u64, [i64; 4])>;

/// All of them at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sight(BTreeMap<PathBuf, Stamp>);

impl Sight {
    fn of(referred: &Referred) -> Self {
        let mut paths = referred.files.clone();
        for folder in &referred.folders {
            paths.push(folder.clone());
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            paths.extend(entries.map(|entry| entry.path()).filter(|path| !path.is_dir()));
        }
        Self(paths.into_iter().map(|path| (path.clone(), stamp(&path))).collect())
    }
}

fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
    Some((found.dev(), found.ino(), found.len(), times))
}

/// Tells a change once, and only when it is over: two looks in a row see the same.
#[derive(Debug, Default)]
pub struct Watched {
    referred: Referred,
    /// As they were when they were read.
    read: Sight,
    /// As they were at the last look, if that was something else.
    changing: Option<Sight>,
}

impl Watched {
    /// Files that are about to be read.
    pub fn new(referred: Referred) -> Self {
        Self {
            read: Sight::of(&referred),
            referred,
            changing: None,
        }
    }

    /// The files are about to be read again.
    pub fn about_to_read(&mut self) {
        self.read = Sight::of(&self.referred);
        self.changing = None;
    }

    /// Looks at these from now on; files that were looked at already are judged as before.
    pub fn follow(&mut self, referred: Referred) {
        let mut read = Sight::of(&referred);
        for (path, stamp) in &mut read.0 {
            if let Some(known) = self.read.0.get(path) {
                *stamp = *known;
            }
        }
        self.read = read;
        self.referred = referred;
    }

    /// Whether they have changed since they were read and are at rest again.
    pub fn have_changed(&mut self) -> bool {
        let now = Sight::of(&self.referred);
        if now == self.read {
            self.changing = None;
            return false;
        }
        if self.changing.as_ref() == Some(&now) {
            return true;
        }
        self.changing = Some(now);
        false
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn watched(files: &[&Path], folders: &[&Path]) -> Watched {
        let paths = |paths: &[&Path]| paths.iter().map(|path| path.to_path_buf()).collect();
        Watched::new(Referred {
            files: paths(files),
            folders: paths(folders),
        })
    }

    #[test]
    fn change_is_told_once_it_is_over_and_until_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relayer.yaml");
        std::fs::write(&file, "one").unwrap();
        let mut watched = watched(&[&file], &[]);
        assert!(!watched.have_changed() && !watched.have_changed());
        std::fs::write(&file, "three").unwrap();
        assert!(!watched.have_changed(), "it may not be written to its end yet");
        std::fs::write(&file, "fifteen").unwrap();
        assert!(!watched.have_changed(), "and it was not");
        assert!(watched.have_changed() && watched.have_changed());
        watched.about_to_read();
        assert!(!watched.have_changed() && !watched.have_changed());
    }

    #[test]
    fn file_that_comes_and_goes_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let (file, keys) = (folder.path().join("absent.yaml"), folder.path().join("keys"));
        std::fs::create_dir(&keys).unwrap();
        let mut watched = watched(&[&file], &[&keys]);
        std::fs::write(keys.join("one.yaml"), "").unwrap();
        assert!(!watched.have_changed() && watched.have_changed());
        watched.about_to_read();
        std::fs::write(&file, "").unwrap();
        assert!(!watched.have_changed() && watched.have_changed());
        watched.about_to_read();
        std::fs::remove_file(keys.join("one.yaml")).unwrap();
        assert!(!watched.have_changed() && watched.have_changed());
    }

    #[test]
    fn link_that_is_set_to_another_folder_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for version in ["first", "second"] {
            std::fs::create_dir(path(version)).unwrap();
            std::fs::write(path(version).join("relayer.yaml"), version).unwrap();
        }
        symlink("first", path("..data")).unwrap();
        symlink("..data/relayer.yaml", path("relayer.yaml")).unwrap();
        let mut watched = watched(&[&path("relayer.yaml")], &[]);
        symlink("second", path("..new")).unwrap();
        std::fs::rename(path("..new"), path("..data")).unwrap();
        assert!(!watched.have_changed() && watched.have_changed());
    }

    #[test]
    fn change_while_more_files_are_followed_is_not_missed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, more) = (folder.path().join("relayer.yaml"), folder.path().join("keys.yaml"));
        std::fs::write(&file, "one").unwrap();
        let mut watched = watched(&[&file], &[]);
        std::fs::write(&file, "three").unwrap();
        watched.follow(Referred {
            files: vec![file, more],
            folders: Vec::new(),
        });
        assert!(!watched.have_changed() && watched.have_changed());
    }
}
