//! Blocks on the local disk: slots of one file that has no name, encrypted under a key that nobody else has.
//!
//! So nobody reads it beside the gateway, nothing is left of it when the process ends, however that ends, and a block that is
//! not what was written is not taken for it: the cipher's tag is the checksum.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

/// The longest block.
pub(super) const BLOCK: u64 = 256 << 10;
const TAG: u64 = 16;
const SLOT: u64 = BLOCK + TAG;

/// A file of as many slots as there is space for.
pub(super) struct Disk {
    file: File,
    key: LessSafeKey,
    /// How many blocks were encrypted: a number is never used again.
    sealed: AtomicU64,
    slots: Mutex<Slots>,
}

struct Slots {
    /// Those before it are in use, or free again.
    unused: u64,
    count: u64,
    free: Vec<u64>,
}

/// Where a block is. Its slot is used again when nobody has its place any more.
pub(super) struct Place {
    disk: Arc<Disk>,
    slot: u64,
    number: u64,
    length: usize,
}

impl Disk {
    /// A file of at most this many bytes in `directory`, which nobody else may enter.
    pub(super) fn create(directory: &Path, bytes: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        if fs::metadata(directory)?.permissions().mode() & 0o077 != 0 {
            let message = "others may enter it: name one that is not there yet, or one of mode 0700";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        let mut name = [0; 8];
        random(&mut name)?;
        let path = directory.join(format!("{:016x}", u64::from_ne_bytes(name)));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        fs::remove_file(&path)?;
        Self::over(file, bytes)
    }

    /// Slots in this file.
    pub(super) fn over(file: File, bytes: u64) -> io::Result<Self> {
        let mut key = [0; 32];
        random(&mut key)?;
        let key = UnboundKey::new(&AES_256_GCM, &key).map_err(io::Error::other)?;
        let slots = Mutex::new(Slots { unused: 0, count: bytes / SLOT, free: Vec::new() });
        Ok(Self { file, key: LessSafeKey::new(key), sealed: AtomicU64::new(0), slots })
    }

    /// How many blocks have room.
    pub(super) fn blocks(&self) -> u64 {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// Writes a block down; none if there is no room.
    pub(super) fn write(self: &Arc<Self>, block: &[u8]) -> io::Result<Option<Place>> {
        let Some(slot) = self.slots.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(None) };
        let number = self.sealed.fetch_add(1, Ordering::Relaxed);
        let place = Place { disk: Arc::clone(self), slot, number, length: block.len() };
        let mut sealed = Vec::with_capacity(block.len() + TAG as usize);
        sealed.extend_from_slice(block);
        let nonce = nonce(number);
        self.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed).map_err(io::Error::other)?;
        self.file.write_all_at(&sealed, slot * SLOT)?;
        Ok(Some(place))
    }
}

impl Slots {
    fn take(&mut self) -> Option<u64> {
        self.free.pop().or_else(|| {
            let slot = self.unused;
            (slot < self.count).then(|| {
                self.unused += 1;
                slot
            })
        })
    }
}

impl Place {
    /// The block, as it was written.
    pub(super) fn read(&self) -> io::Result<Bytes> {
        let mut block = vec![0; self.length + TAG as usize];
        self.disk.file.read_exact_at(&mut block, self.slot * SLOT)?;
        let damaged = |_| io::Error::new(io::ErrorKind::InvalidData, "a block is not as it was written");
        self.disk.key.open_in_place(nonce(self.number), Aad::empty(), &mut block).map_err(damaged)?;
        block.truncate(self.length);
        Ok(block.into())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.disk.slots.lock().unwrap_or_else(PoisonError::into_inner).free.push(self.slot);
    }
}

fn random(bytes: &mut [u8]) -> io::Result<()> {
    SystemRandom::new().fill(bytes).map_err(io::Error::other)
}

/// The nonce of this number.
fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    for (to, from) in bytes.iter_mut().zip(number.to_le_bytes()) {
        *to = from;
    }
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
impl Disk {
    /// The file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }
}
