/** Bytes read from an EIF file at once: large enough that hashing dominates, small enough to hold many readers. */
export const READ_CHUNK_BYTES = 1 << 20;

/** Heads, small files and padding of an archive are gathered up to this many bytes. */
export const GATHER_BYTES = 256 << 10;

/** What is hashed and written at once: the calls cost nothing beside it. */
export const BLOCK_BYTES = 512 << 10;

/** Blocks between reading, hashing and writing: enough that none waits for another's moment of slowness. */
export const POOL_BLOCKS = 8;

/** From this many blocks on a hash is worth a thread, which takes some 50 ms to start. At most POOL_BLOCKS: it holds them. */
export const THREAD_BLOCKS = POOL_BLOCKS;

/** A piece of at least this size is not gathered: copying it would cost more than the call it saves. */
export const PASS_THROUGH_BYTES = 64 << 10;

/** Slots in the header's section table (aws-nitro-enclaves-image-format, `src/defs/mod.rs`). */
export const MAX_SECTIONS = 32;

/** Linux cuts the command line at COMMAND_LINE_SIZE (2048 on x86_64 and arm64), which counts the closing NUL. */
export const MAX_CMDLINE_BYTES = 2047;

/** Metadata may carry the inspect output of an image and a 4 KiB custom file; real ones are a few KiB. */
export const MAX_METADATA_BYTES = 1 << 20;

/** The documented size of the signature section. */
export const MAX_SIGNATURE_BYTES = 32768;

/** A file with a signing certificate or key: a certificate that is longer than the section can never stand in it. */
export const MAX_SIGNING_FILE_BYTES = MAX_SIGNATURE_BYTES;

/** Linux refuses cpio names over PATH_MAX (4096), counted with the closing NUL (`init/initramfs.c`). */
export const MAX_NAME_BYTES = 4096;

/** Linux skips a symlink in an initramfs whose target does not fit PATH_MAX with its NUL. */
export const MAX_LINK_TARGET_BYTES = 4095;

/** newc keeps a file's size in eight hexadecimal digits. */
export const MAX_CPIO_FILE_BYTES = 0xffffffff;

/** What `findInCpio` returns at most unless told otherwise: its users look for small text files. */
export const FIND_MAX_BYTES = 1 << 20;

/** Objects within objects in metadata; the inspect output of an image has six. A stack overflows at some thousands. */
export const MAX_METADATA_DEPTH = 64;

/** Names in one ramdisk that is listed or compared. Images of a whole desktop have half. */
export const MAX_RAMDISK_ENTRIES = 1_000_000;

/** Bytes of all those names together; a million names of ordinary length have 80 MB. */
export const MAX_RAMDISK_NAME_BYTES = 128 << 20;

/** What a gzip-compressed ramdisk may unpack to. It ends a bomb after minutes; memory does not grow with it. */
export const MAX_UNPACKED_BYTES = 64 * 2 ** 30;

/** Files of two ramdisks that wait for their partner while they are compared: some 400 bytes and the name each. */
export const MAX_WAITING_RECORDS = 500_000;

/** Files that a comparison lists for each ramdisk, and fields for each section; it counts the others. */
export const MAX_LISTED_DIFFERENCES = 1000;

/** Characters of a metadata value that a comparison shows. */
export const MAX_SHOWN_VALUE = 200;
