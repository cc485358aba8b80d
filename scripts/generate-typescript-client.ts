/**
 * Run after a change to the routes: node scripts/generate-typescript-client.ts. The generator stands in the client's own folder with a TypeScript of its
 * own, which it needs (the project's has no compiler API); it is installed there at the first run.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { clientDigest, clientDigestFile, clientDocument, clientFolder } from './typescript-client.ts';

const generator = join(clientFolder, 'node_modules', '@hey-api', 'openapi-ts', 'bin', 'run.js');
const document = join(clientFolder, 'openapi.json');

if (!existsSync(generator)) execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: clientFolder, stdio: 'inherit' });
writeFileSync(document, clientDocument());
try {
  execFileSync(process.execPath, [generator, '-f', 'openapi-ts.config.mjs'], { cwd: clientFolder, stdio: 'inherit' });
} finally {
  rmSync(document);
}
writeFileSync(clientDigestFile, clientDigest());
