import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { newId } from '#services/ids.ts';
import type { ArtifactLocation, ArtifactStore } from './store.ts';

const later = (): Date => new Date(Date.now() + 60_000);
const earlier = (): Date => new Date(Date.now() - 60_000);

async function collect(locations: AsyncIterable<ArtifactLocation>): Promise<ArtifactLocation[]> {
  const found: ArtifactLocation[] = [];
  for await (const location of locations) found.push(location);
  return found;
}

/** What every artifact store does; each implementation's test runs it. */
export function describeArtifactStore(name: string, makeStore: () => Promise<ArtifactStore>): void {
  describe(`artifact store: ${name}`, () => {
    it('gives back what was put, under its SHA-256', async () => {
      const store = await makeStore();
      const workspaceId = newId('workspace');
      const content = Buffer.from('Grüße, 世界\n');
      const stored = await store.putArtifact(workspaceId, content);
      expect(stored).toEqual({ sha256: createHash('sha256').update(content).digest('hex'), sizeBytes: content.length });
      const opened = await store.open({ workspaceId, sha256: stored.sha256 });
      expect(opened.sizeBytes).toBe(content.length);
      expect(await buffer(opened.stream)).toEqual(content);
    });

    it('reads a part of what was put', async () => {
      const store = await makeStore();
      const workspaceId = newId('workspace');
      const { sha256 } = await store.putArtifact(workspaceId, Buffer.from('Grüße, 世界'));
      expect((await store.read({ workspaceId, sha256 }, { at: 2, bytes: 5 })).toString()).toBe('üße');
      expect(await store.read({ workspaceId, sha256 }, { at: 3, bytes: 0 })).toHaveLength(0);
      await expect(store.read({ workspaceId, sha256 }, { at: 10, bytes: 50 })).rejects.toMatchObject({ code: 'artifact_content_damaged' });
      await expect(store.read({ workspaceId: newId('workspace'), sha256 }, { at: 0, bytes: 1 })).rejects.toMatchObject({ code: 'artifact_content_missing' });
    });

    it('takes streams, and empty content', async () => {
      const store = await makeStore();
      const workspaceId = newId('workspace');
      async function* chunks() {
        for (let index = 0; index < 40; index++) yield Buffer.alloc(64 * 1024, index);
      }
      const streamed = await store.putArtifact(workspaceId, chunks());
      expect(streamed.sizeBytes).toBe(40 * 64 * 1024);
      const empty = await store.putArtifact(workspaceId, new Uint8Array());
      expect(await buffer((await store.open({ workspaceId, sha256: empty.sha256 })).stream)).toHaveLength(0);
    });

    it('leaves nothing behind when the source fails', async () => {
      const store = await makeStore();
      const workspaceId = newId('workspace');
      async function* broken() {
        yield Buffer.from('half');
        throw new Error('the source broke');
      }
      await expect(store.putArtifact(workspaceId, broken())).rejects.toThrow('the source broke');
      expect(await collect(store.list(later()))).toEqual([]);
    });

    it('stores equal content once, even when put by many at once', async () => {
      const store = await makeStore();
      const workspaceId = newId('workspace');
      const all = await Promise.all(Array.from({ length: 20 }, () => store.putArtifact(workspaceId, Buffer.from('the same'))));
      expect(new Set(all.map((stored) => stored.sha256)).size).toBe(1);
      expect(await collect(store.list(later()))).toEqual([{ workspaceId, sha256: all[0]!.sha256 }]);
    });

    it('keeps workspaces apart', async () => {
      const store = await makeStore();
      const { sha256 } = await store.putArtifact(newId('workspace'), Buffer.from('mine'));
      await expect(store.open({ workspaceId: newId('workspace'), sha256 })).rejects.toMatchObject({ code: 'artifact_content_missing' });
      await expect(store.open({ workspaceId: '../..', sha256 })).rejects.toMatchObject({ code: 'artifact_content_missing' });
      await expect(store.open({ workspaceId: newId('workspace'), sha256: '../../../etc/passwd' })).rejects.toMatchObject({ code: 'artifact_content_missing' });
    });

    it('removes only what was put long enough ago', async () => {
      const store = await makeStore();
      const workspaceId = newId('workspace');
      const { sha256 } = await store.putArtifact(workspaceId, Buffer.from('short-lived'));
      expect(await store.remove({ workspaceId, sha256 }, earlier())).toBe('kept');
      expect(await store.remove({ workspaceId, sha256 }, later())).toBe('removed');
      expect(await store.remove({ workspaceId, sha256 }, later())).toBe('absent');
      await expect(store.open({ workspaceId, sha256 })).rejects.toMatchObject({ code: 'artifact_content_missing', status: 404 });
    });
  });
}
