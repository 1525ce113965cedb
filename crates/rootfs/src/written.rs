//! What was written to a disk, moved and removed whole. A folder with rights as a tree has them (`0555`) keeps even its
//! owner from doing either, root aside: it is opened for as long as that takes.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err as fs;

/// What an owner needs of a folder, to move it or to remove what it holds.
const OWNERS: u32 = 0o700;

/// Removes a folder with everything in it, whatever the rights of the folders in it, as far as they are the caller's.
/// One that is not there is removed already. No link is followed.
pub fn remove_directory(directory: &Path) -> io::Result<()> {
    let removed = match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(directory)?;
            fs::remove_dir_all(directory)
        }
        removed => removed,
    };
    match removed {
        // Or it is something in the folder that somebody else took away.
        Err(_)
            if fs::symlink_metadata(directory)
                .is_err_and(|error| error.kind() == io::ErrorKind::NotFound) =>
        {
            Ok(())
        }
        removed => removed,
    }
}

/// Moves a folder or a file to a new name in the same file system. A folder keeps its rights.
pub fn move_written(from: &Path, to: &Path) -> io::Result<()> {
    let denied = match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => error,
        renamed => return renamed,
    };
    // The folder above may be denied as well, or it may be somebody else's: then the first error is the one to tell.
    let Ok(metadata) = fs::symlink_metadata(from) else { return Err(denied) };
    let rights = metadata.permissions();
    if !metadata.is_dir() || rights.mode() & OWNERS == OWNERS {
        return Err(denied);
    }
    let opened = PermissionsExt::from_mode(rights.mode() | OWNERS);
    fs::set_permissions(from, opened).map_err(|_| denied)?;
    let renamed = fs::rename(from, to);
    fs::set_permissions(if renamed.is_ok() { to } else { from }, rights)?;
    renamed
}

/// Gives the owner every right to the folder and to all folders in it.
fn open_up(directory: &Path) -> io::Result<()> {
    let mut waiting = vec![directory.to_owned()];
    while let Some(folder) = waiting.pop() {
        let rights = fs::symlink_metadata(&folder)?.permissions();
        if rights.mode() & OWNERS != OWNERS {
            fs::set_permissions(&folder, PermissionsExt::from_mode(rights.mode() | OWNERS))?;
        }
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That rights of folders are no hindrance shows for ordinary users alone: the tests of `rubypak` are run for one.
    #[test]
    fn what_is_moved_keeps_its_rights_and_what_links_lead_to_stays() {
        let outer = tempfile::tempdir().unwrap();
        let [made, moved, other] = ["made", "moved", "other"].map(|name| outer.path().join(name));
        fs::create_dir_all(made.join("inner")).unwrap();
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&other, made.join("inner/link")).unwrap();
        fs::set_permissions(made.join("inner"), PermissionsExt::from_mode(0o555)).unwrap();
        fs::set_permissions(&made, PermissionsExt::from_mode(0o555)).unwrap();
        move_written(&made, &moved).unwrap();
        assert_eq!(fs::metadata(&moved).unwrap().permissions().mode() & 0o7777, 0o555);
        assert!(move_written(&made, &other).is_err_and(|error| error.kind() == io::ErrorKind::NotFound));
        for _ in 0..2 {
            remove_directory(&moved).unwrap();
            assert!(!moved.exists() && other.exists());
        }
    }
}
