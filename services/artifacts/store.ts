import type { Readable } from 'node:stream';
import { KosError } from '#core/errors.ts';

export interface StoredContent {
  /** Hex; where the store keeps the content and how its integrity is checked. */
  sha256: string;
  sizeBytes: number;
}

export interface ArtifactLocation {
  workspaceId: string;
  sha256: string;
}

/** The store's own disk is full: nothing that the step or its plan could help. */
export class StoreFull extends KosError {
  constructor(message: string, cause: unknown) {
    super({ code: 'disk_full', message, fix: 'Free some space on that disk.', status: 507, retryable: true, cause });
    this.name = 'StoreFull';
  }
}

/**
 * Content by workspace and SHA-256. Workspaces share nothing, not even equal content. Content is written before the row that names it, so a
 * store may hold content without a row for a while; `list` lets the sweep find what was left behind.
 */
export interface ArtifactStore {
  /** Whole or not at all; storing equal content again changes nothing and counts as new (see `list`). Throws StoreFull. */
  putArtifact(workspaceId: string, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<StoredContent>;
  /** Throws KosError `artifact_content_missing`. */
  open(location: ArtifactLocation): Promise<{ stream: Readable; sizeBytes: number }>;
  /** So many bytes from there on. Throws KosError `artifact_content_missing`, and `artifact_content_damaged` when the content ends before. */
  read(location: ArtifactLocation, range: { at: number; bytes: number }): Promise<Buffer>;
  /** Removes content that was last put before `putBefore`; younger content may belong to a step that has not recorded it yet. */
  remove(location: ArtifactLocation, putBefore: Date): Promise<'removed' | 'kept' | 'absent'>;
  /** Every content that was last put before that instant, in no order. */
  list(putBefore: Date): AsyncIterable<ArtifactLocation>;
  /** Removes what was being put before that instant and never became content: its writer was killed. Returns how many. */
  removeUnfinished(putBefore: Date): Promise<number>;
}
