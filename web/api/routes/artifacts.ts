import { pipeline } from 'node:stream/promises';
import type { Response } from 'express';
import { z } from 'zod';
import { type Artifact, artifactSchema } from '#schemas/artifact.ts';
import { idSchema } from '#schemas/ids.ts';
import { listArtifacts, readArtifact } from '#services/artifacts/read.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { defineRoute, json, type Route } from '../route.ts';
import { idParams, listOf, pageQuery } from '../shapes.ts';

export const artifactRoutes = (dependencies: ApiDependencies): Route[] => [
  defineRoute({
    method: 'get',
    path: '/v1/artifacts',
    summary: 'Artifacts, newest first',
    access: { permission: 'artifacts:read' },
    query: z.strictObject({ ...pageQuery, run: idSchema('run').optional() }),
    responses: { 200: listOf(artifactSchema) },
    handler: async ({ principal, query }) => {
      const filter = { runId: query.run ?? null, cursor: query.cursor ?? null, limit: query.limit };
      return json(await inWorkspaceOf(dependencies, principal, (transaction) => listArtifacts(transaction, filter)));
    },
  }),
  defineRoute({
    method: 'get',
    path: '/v1/artifacts/{id}',
    summary: 'What is known of an artifact',
    access: { permission: 'artifacts:read' },
    params: idParams('artifact'),
    responses: { 200: artifactSchema },
    handler: async ({ principal, params }) => json(await inWorkspaceOf(dependencies, principal, (transaction) => readArtifact(transaction, params.id))),
  }),
  defineRoute({
    method: 'get',
    path: '/v1/artifacts/{id}/content',
    summary: 'The content of an artifact, to be saved rather than shown',
    access: { permission: 'artifacts:read' },
    params: idParams('artifact'),
    responses: { 200: { mediaType: 'application/octet-stream', orAny: true } },
    handler: async ({ principal, params }) => {
      const artifact = await inWorkspaceOf(dependencies, principal, (transaction) => readArtifact(transaction, params.id));
      const { stream, sizeBytes } = await dependencies.artifacts.open({ workspaceId: principal.workspaceId, sha256: artifact.sha256 });
      return {
        kind: 'stream',
        send: async (response) => {
          setContentHeaders(response, artifact, sizeBytes);
          await pipeline(stream, response);
        },
      };
    },
  }),
];

/** A step wrote it, from whatever it read: nothing in it may run in a browser under our origin. */
function setContentHeaders(response: Response, artifact: Artifact, sizeBytes: number): void {
  response.status(200).set({
    'Content-Type': /^[a-z0-9][a-z0-9!#$&^_.+-]*\/[a-z0-9][a-z0-9!#$&^_.+-]*(; ?charset=[a-z0-9-]+)?$/i.test(artifact.mediaType)
      ? artifact.mediaType
      : 'application/octet-stream',
    'Content-Length': String(sizeBytes),
    'Content-Disposition': contentDisposition(artifact.name),
    'Content-Security-Policy': "sandbox; default-src 'none'",
    'X-Content-Type-Options': 'nosniff',
    Digest: `sha-256=${Buffer.from(artifact.sha256, 'hex').toString('base64')}`,
  });
}

/** RFC 6266: a plain name for old clients, the exact one as RFC 8187. */
function contentDisposition(name: string): string {
  const base = name.split(/[/\\]/).at(-1) ?? 'artifact';
  const plain = base.replaceAll(/[^\x20-\x7e]|["\\%]/g, '_');
  const exact = encodeURIComponent(base.toWellFormed()).replaceAll(/['()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
  return `attachment; filename="${plain === '' ? 'artifact' : plain}"; filename*=UTF-8''${exact}`;
}
