import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { projectRoot } from '#config';
import type { ApiDependencies } from '#web/api/dependencies.ts';
import { describeApi } from '#web/api/openapi.ts';
import { makeRoutes } from '#web/api/routes/index.ts';

export const clientFolder = join(projectRoot, 'clients', 'typescript');

/** Says which document the generated client was made of. */
export const clientDigestFile = join(clientFolder, 'document.sha256');

interface ApiDocument {
  paths: Record<string, object>;
  components: { securitySchemes: { bearer: object } };
}

/** What programs need of the API's description: no pages, no webhooks that others send, and one way to sign in. As text, the same for the same API. */
export function clientDocument(): string {
  // Describing calls no handler, so there is nothing to depend on.
  const document = describeApi(makeRoutes({} as ApiDependencies), { version: 'current', publicUrl: 'http://127.0.0.1:3000' }) as ApiDocument;
  const paths = Object.entries(document.paths).filter(([path]) => path.startsWith('/v1/') && !path.startsWith('/v1/docs'));
  const { bearer } = document.components.securitySchemes;
  const forPrograms = {
    ...document,
    paths: Object.fromEntries(paths),
    security: [{ bearer: [] }],
    components: { ...document.components, securitySchemes: { bearer } },
  };
  return `${JSON.stringify(forPrograms, null, 1)}\n`;
}

export const clientDigest = (): string => `${createHash('sha256').update(clientDocument()).digest('hex')}\n`;
