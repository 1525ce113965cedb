//! What is on the disk: between runs, after a kill, when it rots, and when it is full.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cache::Store;
use schema::Digest;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

/// Every file below `folder`, by its path from there.
fn files(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(folder, &mut found);
    let mut found: Vec<_> =
        found.iter().map(|path| path.strip_prefix(folder).unwrap().display().to_string()).collect();
    found.sort();
    found
}

fn blob_path(folder: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    folder.join("blobs/sha256").join(&hex[..2]).join(hex)
}

fn rot(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[0] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_layout_is_as_documented() {
    let (folder, store) = store();
    let blob = store.put(b"bytes").unwrap();
    store.derive("text-v1", &Digest::of(b"input"), |out| out.write_all(b"made")).unwrap();
    let _lock = store.lock("some-work").unwrap();
    let (bytes, made, input) =
        (Digest::of(b"bytes").hex(), Digest::of(b"made").hex(), Digest::of(b"input").hex());
    let mut expected = vec![
        "CACHEDIR.TAG".to_owned(),
        format!("blobs/sha256/{}/{bytes}", &bytes[..2]),
        format!("blobs/sha256/{}/{made}", &made[..2]),
        format!("derived/text-v1/{input}"),
        "locks/some-work.lock".to_owned(),
        "locks/store".to_owned(),
    ];
    expected.sort();
    assert_eq!(files(folder.path()), expected);
    assert_eq!(blob.path(), blob_path(folder.path(), &Digest::of(b"bytes")));
    assert_eq!(fs::metadata(blob.path()).unwrap().permissions().mode() & 0o7777, 0o444);
    assert!(
        fs::read(folder.path().join("CACHEDIR.TAG"))
            .unwrap()
            .starts_with(b"Signature: 8a477f597d28d172789f06886806bc55")
    );
}

#[test]
fn a_rotten_blob_is_no_blob() {
    let (folder, store) = store();
    let digest = store.put(b"bytes").unwrap().digest();
    rot(&blob_path(folder.path(), &digest));
    assert!(store.contains(&digest), "it is still there by name");
    assert!(store.get(&digest).unwrap().is_none());
    assert!(!store.contains(&digest), "and gone once that was noticed");
    assert_eq!(**store.put(b"bytes").unwrap().content(), *b"bytes");
    assert!(store.get(&digest).unwrap().is_some());
}

#[test]
fn a_cut_blob_is_no_blob() {
    let (folder, store) = store();
    let digest = store.put(b"bytes").unwrap().digest();
    let path = blob_path(folder.path(), &digest);
    for left in [&b""[..], b"byte"] {
        fs::remove_file(&path).unwrap();
        fs::write(&path, left).unwrap();
        assert!(store.get(&digest).unwrap().is_none());
        store.put(b"bytes").unwrap();
    }
}

#[test]
fn writing_piece_by_piece_is_writing_the_whole() {
    let (_folder, store) = store();
    let piece = vec![7; 100_000];
    let mut writer = store.writer().unwrap();
    for _ in 0..10 {
        writer.write_all(&piece).unwrap();
    }
    let blob = writer.finish().unwrap();
    assert_eq!(blob.digest(), Digest::of(&piece.repeat(10)));
    assert_eq!(**blob.content(), piece.repeat(10));
}

#[test]
fn an_unfinished_writer_leaves_nothing() {
    let (folder, store) = store();
    let before = files(folder.path());
    let mut writer = store.writer().unwrap();
    writer.write_all(&vec![7; 1_000_000]).unwrap();
    drop(writer);
    assert_eq!(files(folder.path()), before);
}

#[test]
fn results_are_made_once() {
    let (_folder, store) = store();
    let key = Digest::of(b"input");
    assert!(store.derived("kind", &key).unwrap().is_none());
    let mut made = 0;
    for _ in 0..2 {
        let blob = store.derive("kind", &key, |out| {
            made += 1;
            out.write_all(b"result")
        });
        assert_eq!(**blob.unwrap().content(), *b"result");
    }
    assert_eq!(made, 1);
    assert!(store.derived("kind", &key).unwrap().is_some());
    assert!(store.derived("other", &key).unwrap().is_none());
    assert!(store.derived("kind", &Digest::of(b"another")).unwrap().is_none());
}

#[test]
fn a_damaged_result_is_made_again() {
    let (folder, store) = store();
    let key = Digest::of(b"input");
    let entry = folder.path().join("derived/kind").join(key.hex());
    let make = || store.derive("kind", &key, |out| out.write_all(b"result")).unwrap();
    let blob = make().path().to_owned();
    let text = fs::read(&entry).unwrap();
    let damages: [&dyn Fn(); 6] = [
        &|| rot(&blob),
        &|| fs::remove_file(&blob).unwrap(),
        &|| fs::write(&entry, b"").unwrap(),
        &|| fs::write(&entry, &text[..text.len() - 1]).unwrap(),
        &|| fs::write(&entry, vec![0; text.len()]).unwrap(),
        &|| fs::write(&entry, [0xff, 0xfe]).unwrap(),
    ];
    for (index, damage) in damages.iter().enumerate() {
        damage();
        assert!(store.derived("kind", &key).unwrap().is_none(), "damage {index}");
        assert_eq!(**make().content(), *b"result", "damage {index}");
        assert!(store.derived("kind", &key).unwrap().is_some(), "damage {index}");
    }
}

#[test]
fn a_result_that_fails_is_not_kept() {
    let (folder, store) = store();
    let key = Digest::of(b"input");
    let before = files(folder.path());
    let failed = store.derive("kind", &key, |out| {
        out.write_all(b"half")?;
        Err::<(), _>(io::Error::other("no more"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "no more");
    let failed = store.derive_folder("kind", &key, |folder| {
        fs::write(folder.join("file"), "half")?;
        Err::<(), _>(io::Error::other("no more"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "no more");
    assert_eq!(files(folder.path()), before);
    assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn folders_are_made_once_and_by_one() {
    let (_folder, store) = store();
    let key = Digest::of(b"layer");
    let make = |content: &'static str| {
        store.derive_folder("unpacked", &key, move |folder| fs::write(folder.join("file"), content)).unwrap()
    };
    let path = make("first");
    assert_eq!(make("second"), path);
    assert_eq!(fs::read(path.join("file")).unwrap(), b"first");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o055, 0o055, "others may look into it");

    let other = Digest::of(b"other layer");
    let slower = store.derive_folder("unpacked", &other, |outer| {
        let faster = store.derive_folder("unpacked", &other, |inner| fs::write(inner.join("file"), "faster"));
        fs::write(outer.join("file"), "slower").and(faster.map(|_| ()))
    });
    assert_eq!(
        fs::read(slower.unwrap().join("file")).unwrap(),
        b"faster",
        "who comes second takes what is there"
    );
}

#[test]
fn folders_of_another_boot_are_not_used_and_cleared() {
    let (folder, store) = store();
    let key = Digest::of(b"layer");
    let path = store.derive_folder("unpacked", &key, |folder| fs::write(folder.join("file"), "")).unwrap();
    let earlier = path.with_extension("11111111-2222-3333-4444-555555555555");
    fs::rename(&path, &earlier).unwrap();
    let again = store.derive_folder("unpacked", &key, |folder| fs::write(folder.join("new"), "")).unwrap();
    assert!(again.join("new").exists());

    let second = Store::open(folder.path()).unwrap();
    assert!(earlier.exists(), "somebody has the store open, and may use it");
    drop((store, second));
    let _store = Store::open(folder.path()).unwrap();
    assert!(!earlier.exists());
    assert!(again.exists());
}

#[test]
fn what_dead_processes_left_is_cleared_when_nobody_is_there() {
    let (folder, store) = store();
    let left = folder.path().join("tmp/left/deep");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("file"), "left").unwrap();
    // As an ordinary user, a folder that may not be changed has to be made changeable first.
    fs::set_permissions(&left, fs::Permissions::from_mode(0o555)).unwrap();
    drop(store.lock("work").unwrap());
    let (young, old) = (folder.path().join("partial/young"), folder.path().join("partial/old"));
    for path in [&young, &old] {
        fs::write(path, "begun").unwrap();
    }
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(30 * 24);
    fs::File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();

    let second = Store::open(folder.path()).unwrap();
    assert!(left.join("file").exists(), "the first is still at work");
    drop((store, second));
    let _store = Store::open(folder.path()).unwrap();
    assert_eq!(files(folder.path()), ["CACHEDIR.TAG", "locks/store", "partial/young"]);
    assert!(!folder.path().join("tmp/left").exists());
}

#[test]
fn a_lock_is_for_one() {
    let (folder, store) = store();
    let other = Store::open(folder.path()).unwrap();
    let lock = store.lock("work").unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let waiting = sender.clone();
        scope.spawn(move || {
            let _lock = other.lock("work").unwrap();
            waiting.send("second").unwrap();
        });
        // It cannot come before the lock was given up, however long the other thread takes to start.
        sender.send("first").unwrap();
        drop(lock);
    });
    assert_eq!(receiver.iter().take(2).collect::<Vec<_>>(), ["first", "second"]);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file.join("cache")).unwrap_err();
    let expected = format!("cannot make the folder {}", file.join("cache/locks").display());
    assert_eq!(error.to_string(), expected);
    assert!(std::error::Error::source(&error).is_some());
}
