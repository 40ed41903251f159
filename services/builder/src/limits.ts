const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Bounds of one build. An image is hostile input: each of these is what stops one that was made to hurt. */
export const limits = {
  /** Tar headers of all layers and folders that names imply. The largest images in use have some 300,000. */
  entries: 2_000_000,
  /** Names and link targets of all layers together, since they stay in memory: 2,000,000 of average length 128 fit twice. */
  nameBytes: 512 * MIB,
  /** Targets of symlinks followed for all names together: 300,000 names through `/lib` take 2 MiB, a hostile image hours. */
  followedBytes: 64 * MIB,
  /** newc keeps a file's size in 32 bits. */
  fileBytes: 4 * GIB - 1,
  /** Bytes of all layers unpacked. An enclave unpacks its image into memory, and the largest parent has 768 GiB. */
  unpackedBytes: 256 * GIB,
  /** EIFs in the data folder that no enclave runs from and nobody has made or fetched for so long are removed; the release image has them still. */
  keptEifMs: 7 * 24 * 3_600_000,
  /** Left free on the data folder's disk: the bus and the other services write there too. */
  diskReserveBytes: 512 * MIB,
  /** Written between two looks at the free space. */
  diskCheckBytes: 64 * MIB,
  /** A path inside the enclave, without `rootfs/`: Linux takes 4096 bytes with prefix and NUL. */
  pathBytes: 4096 - 'rootfs/'.length - 1,
  /** A symlink's target, as Linux takes it from an initramfs. */
  linkTargetBytes: 4095,
  /** Linux keeps a device's numbers in 12 and 20 bits (`include/linux/kdev_t.h`); larger ones would become others. */
  deviceMajor: 2 ** 12 - 1,
  deviceMinor: 2 ** 20 - 1,
  /** Symlinks followed for one name: Linux's own bound (MAXSYMLINKS). */
  symlinkHops: 40,
  /** One PAX header: extended attributes of 64 KiB each are legal, more than a few are not seen. */
  paxBytes: MIB,
  /** Layers of one image: Docker's own bound is 127. */
  layers: 1024,
  /** `manifest.json`, an index or an image manifest: registries take 4 MiB at most. */
  manifestBytes: 4 * MIB,
  /** An image's configuration: its history makes it the longest of the JSON files. */
  configBytes: 8 * MIB,
  /** Words of a command, or variables: Linux takes 2 MiB of both, and each wrong one is an error that zod keeps. */
  configWords: 16_384,
  /** Descriptors in an index, nested ones counted: four levels of 1,024 would be a million million. */
  indexEntries: 1024,
  /** Indexes within indexes: one level is usual. */
  indexDepth: 4,
  /** Members of an image archive: a few per layer. */
  archiveEntries: 16_384,
  /** Read from a file at once. */
  readBytes: MIB,
  /** Read at least, where what follows may be wanted next: a read costs as much as 100 KiB. */
  readAheadBytes: 256 * KIB,
  /** Kernel and runtime.json are read whole or checked against this: Debian's kernels are 12 MB, for arm64 35 MB. */
  kernelBytes: 128 * MIB,
  smallFileBytes: MIB,
  /** One line of progress from the engine: some 200 bytes are usual. */
  engineLineBytes: MIB,
  /** Kept of what a tool says on stderr: its last words hold the error. */
  toolTextChars: 16 * KIB,
  /** skopeo to give a manifest, of 4 MiB at most; a registry that takes the connection and stays silent ends so. */
  inspectMs: 120_000,
  /** skopeo to fetch or push an image: as long as a request lasts. */
  copyMs: 3_600_000,
  /** A credential helper may ask a keychain, but nobody. */
  helperMs: 30_000,
  /** Between two looks at how much of an image has arrived. */
  folderWatchMs: 200,
} as const;

/** Bounds of the process. */
export const serviceLimits = {
  /** Builds at once: each is bound by the disk and two cores. */
  running: 2,
  /** Builds that may wait for their turn; one more is refused, so that the caller can go elsewhere. */
  waiting: 16,
  /** Between two progress messages of one stage: more a terminal cannot show. */
  progressIntervalMs: 100,
  /** From a request to its end, its wait for a turn with it: nobody waits longer for the answer (`@enclaver/bus`). */
  requestMs: 3_600_000,
  /** Work folders older than this belong to a builder that was killed: those of one that runs are no older than its request. */
  staleWorkMs: 2 * 3_600_000,
} as const;
