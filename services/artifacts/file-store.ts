import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, opendir, rename, stat, unlink, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { KosError } from '#core/errors.ts';
import { idPattern } from '#schemas/ids.ts';
import { type ArtifactLocation, type ArtifactStore, StoreFull, type StoredContent } from './store.ts';

const workspacePattern = idPattern('workspace');
const sha256Pattern = /^[0-9a-f]{64}$/;
/** Half-written content; never listed, never opened. */
const draftSuffix = '.draft';

/** Files under `<directory>/<workspace>/<first two digits>/<sha256>`. */
export function createArtifactStore(options: { directory: string }): ArtifactStore {
  const { directory } = options;

  const pathOf = ({ workspaceId, sha256 }: ArtifactLocation): string => {
    if (!workspacePattern.test(workspaceId) || !sha256Pattern.test(sha256)) throw missing(sha256);
    return join(directory, workspaceId, sha256.slice(0, 2), sha256);
  };

  const openContent = (location: ArtifactLocation): Promise<FileHandle> =>
    open(pathOf(location), 'r').catch((error: unknown) => {
      throw isAbsent(error) ? missing(location.sha256) : error;
    });

  return {
    async putArtifact(workspaceId, content) {
      if (!workspacePattern.test(workspaceId)) throw new TypeError(`"${workspaceId}" is not a workspace id`);
      const draft = join(directory, workspaceId, `${randomUUID()}${draftSuffix}`);
      try {
        await mkdir(dirname(draft), { recursive: true, mode: 0o700 });
        const stored = await writeDraft(draft, content);
        await settle(draft, pathOf({ workspaceId, sha256: stored.sha256 }));
        return stored;
      } catch (error) {
        await unlink(draft).catch(ignoreAbsent);
        throw isDiskFull(error) ? diskFull(directory, error) : error;
      }
    },

    async open(location) {
      const file = await openContent(location);
      const { size } = await file.stat();
      return { stream: createReadStream('', { fd: file }), sizeBytes: size };
    },

    async read(location, { at, bytes }) {
      const file = await openContent(location);
      try {
        const content = Buffer.alloc(bytes);
        if ((await readWhole(file, content, at)) < bytes) throw damaged(location.sha256);
        return content;
      } finally {
        await file.close();
      }
    },

    async remove(location, putBefore) {
      const path = pathOf(location);
      const facts = await stat(path).catch(ignoreAbsent);
      if (facts === undefined) return 'absent';
      if (facts.mtime >= putBefore) return 'kept';
      await unlink(path).catch(ignoreAbsent);
      return 'removed';
    },

    async *list(putBefore) {
      for await (const path of filesBelow(directory)) {
        const [workspaceId, , sha256] = path;
        if (workspaceId === undefined || sha256 === undefined || !sha256Pattern.test(sha256)) continue;
        const facts = await stat(join(directory, ...path)).catch(ignoreAbsent);
        if (facts !== undefined && facts.mtime < putBefore) yield { workspaceId, sha256 };
      }
    },

    async removeUnfinished(putBefore) {
      let removed = 0;
      for await (const path of filesBelow(directory)) {
        if (path.length !== 2 || !path.at(-1)?.endsWith(draftSuffix)) continue;
        const draft = join(directory, ...path);
        const facts = await stat(draft).catch(ignoreAbsent);
        if (facts === undefined || facts.mtime >= putBefore) continue;
        await unlink(draft).catch(ignoreAbsent);
        removed += 1;
      }
      return removed;
    },
  };
}

async function writeDraft(path: string, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<StoredContent> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const chunk of content instanceof Uint8Array ? [content] : content) {
      hash.update(chunk);
      sizeBytes += chunk.byteLength;
      await writeWhole(file, chunk);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { sha256: hash.digest('hex'), sizeBytes };
}

async function writeWhole(file: FileHandle, chunk: Uint8Array): Promise<void> {
  let written = 0;
  while (written < chunk.byteLength) written += (await file.write(chunk, written)).bytesWritten;
}

/** Answers how many bytes there were. */
async function readWhole(file: FileHandle, content: Buffer, at: number): Promise<number> {
  let read = 0;
  while (read < content.byteLength) {
    const { bytesRead } = await file.read(content, read, content.byteLength - read, at + read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  return read;
}

/** Gives the draft its name, and makes the name survive a power cut. A rename over equal content is harmless; the new time keeps it from the sweep. */
async function settle(draft: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const now = new Date();
  await utimes(draft, now, now);
  await rename(draft, path);
  if (process.platform === 'win32') return;
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Paths of files as parts below `directory`, three levels deep. */
async function* filesBelow(directory: string, parts: string[] = []): AsyncGenerator<string[]> {
  const folder = await opendir(join(directory, ...parts)).catch(ignoreAbsent);
  if (folder === undefined) return;
  for await (const entry of folder) {
    if (entry.isDirectory() && parts.length < 2) yield* filesBelow(directory, [...parts, entry.name]);
    else if (entry.isFile()) yield [...parts, entry.name];
  }
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);
const isAbsent = (error: unknown): boolean => codeOf(error) === 'ENOENT';
const isDiskFull = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes(String(codeOf(error)));

function ignoreAbsent(error: unknown): undefined {
  if (!isAbsent(error)) throw error;
  return undefined;
}

const missing = (sha256: string): KosError =>
  new KosError({ code: 'artifact_content_missing', message: `The content ${sha256.slice(0, 12)}… is not in the artifact store.`, status: 404 });

const damaged = (sha256: string): KosError =>
  new KosError({
    code: 'artifact_content_damaged',
    message: `The content ${sha256.slice(0, 12)}… in the artifact store is shorter than it was.`,
    fix: 'Put its file back from a backup of the data folder.',
    status: 500,
  });

const diskFull = (directory: string, cause: unknown): StoreFull =>
  new StoreFull(`There is no space left on the disk that holds ${directory}: the artifact was not written.`, cause);
