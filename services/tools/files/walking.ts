import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Boundary, isClosed } from '#services/tools/files/boundary.ts';
import { fileFailure } from '#services/tools/files/failures.ts';
import { type OpenedFolder, openFolder } from '#services/tools/files/opening.ts';

export interface WalkedEntry {
  /** Relative to where the walk began, with `/`. */
  name: string;
  real: string;
  entry: Dirent;
  folder: OpenedFolder;
}

export interface SkippedPlace {
  file: string;
  reason: string;
}

export interface WalkOptions {
  recursive: boolean;
  signal: AbortSignal;
  /** Told of every folder that could not be opened. */
  onSkipped: (place: SkippedPlace) => void;
}

const maximumDepth = 32;

/** Entries below a folder, sorted by name within each folder, links not followed, closed places left out. Throws ToolFailure for the first folder only. */
export async function* walkFolder(path: string, boundary: Boundary, options: WalkOptions, prefix = '', depth = 0): AsyncGenerator<WalkedEntry> {
  await using folder = await openFolder(path, 'read', boundary);
  const entries = await readdir(folder.entry('.'), { withFileTypes: true }).catch((error: unknown) => {
    throw fileFailure(error, path);
  });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    options.signal.throwIfAborted();
    const real = join(folder.real, entry.name);
    if (isClosed(real, boundary)) continue;
    const name = `${prefix}${entry.name}`;
    yield { name, real, entry, folder };
    if (!options.recursive || !entry.isDirectory()) continue;
    if (depth + 1 >= maximumDepth) {
      options.onSkipped({ file: name, reason: `deeper than ${maximumDepth} folders` });
      continue;
    }
    try {
      yield* walkFolder(real, boundary, options, `${name}/`, depth + 1);
    } catch (error) {
      options.signal.throwIfAborted();
      options.onSkipped({ file: name, reason: error instanceof Error ? error.message : String(error) });
    }
  }
}
