import { link, mkdtemp, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectRoot } from '#config';
import { findPrincipalByKeyHash } from '#services/credentials/rights.ts';
import { hashApiKey } from '#services/identity/api-key.ts';
import { signingIdentity } from '#services/identity/signing-key.ts';
import { createModelService } from '#services/models/model-service.ts';
import { createPlanCompiler } from '#services/plans/compiler.ts';
import { builtinTools, describeTool } from '#services/tools/registry.ts';
import { makeTestDatabase, type TestDatabase } from '#tests/rig/test-database.ts';
import { saveExamples } from './examples.ts';
import { openInstallation } from './installation.ts';
import { cliFilePath, ensureOwnerKey, writeCliFile } from './owner-key.ts';

let rig: TestDatabase;
let home: string;
const identity = signingIdentity(Buffer.alloc(32, 4));

beforeAll(async () => {
  rig = await makeTestDatabase();
  home = await mkdtemp(join(tmpdir(), 'kos-installation-'));
});

afterAll(() => rig.remove());

const principalOf = (apiKey: string) => findPrincipalByKeyHash(rig.system, hashApiKey(apiKey));

describe('an installation', () => {
  it('is made once, by however many processes start at once', async () => {
    const opened = await Promise.all(Array.from({ length: 8 }, () => openInstallation(rig.system, identity)));
    expect(new Set(opened.map(({ owner, signer }) => `${owner.workspaceId} ${owner.principalId} ${signer.name}`)).size).toBe(1);
    expect(await rig.system.sql`select slug, name from kos.workspaces`).toEqual([{ slug: 'default', name: 'Default' }]);
    expect((await rig.system.sql`select action from kos.audit_entries order by inserted`).map((row) => row['action'])).toEqual([
      'workspace.create',
      'member.add',
    ]);
  });

  it('keeps the owner’s key while it is valid, and replaces it when it is missing, damaged or revoked', async () => {
    const { owner } = await openInstallation(rig.system, identity);
    const start = async (): Promise<string> => {
      const apiKey = await ensureOwnerKey(rig.system, owner, home);
      await writeCliFile(home, { url: 'http://127.0.0.1:3000', apiKey });
      return apiKey;
    };
    const first = await start();
    expect(await principalOf(first)).toMatchObject({ ...owner, roles: ['owner'], name: 'owner' });
    expect((await principalOf(first))?.permissions.has('approvals:decide')).toBe(true);
    expect(await start()).toBe(first);
    if (process.platform !== 'win32') expect((await stat(cliFilePath(home))).mode & 0o777).toBe(0o600);
    expect(JSON.parse(await readFile(cliFilePath(home), 'utf8'))).toEqual({ url: 'http://127.0.0.1:3000', apiKey: first });

    await writeFile(cliFilePath(home), '{ "url": "http:');
    const second = await start();
    expect([second === first, await principalOf(first)]).toEqual([false, null]);
    await rig.system.sql`update kos.credentials set revoked_at = now() where secret_hash = ${Buffer.from(hashApiKey(second))}`;
    const third = await start();
    expect([await principalOf(second), (await principalOf(third))?.principalId]).toEqual([null, owner.principalId]);
    const actions = await rig.system.sql`select action from kos.audit_entries where action like 'key.%' order by inserted`;
    expect(actions.map((row) => row['action'])).toEqual(['key.create', 'key.revoke', 'key.create', 'key.create']);
    expect(JSON.stringify(await rig.system.sql`select * from kos.audit_entries`)).not.toContain(third);

    // A second name of the file, made by whoever may write there: what stands under it opens nothing once kOS has started again.
    await link(cliFilePath(home), join(home, 'another-name.json'));
    const fourth = await start();
    expect([fourth === third, await principalOf(third)]).toEqual([false, null]);
    expect(await start()).toBe(fourth);
  });

  it('saves the examples under their names, once, and leaves alone what people made of them', async () => {
    const { owner } = await openInstallation(rig.system, identity);
    const tools = builtinTools({ home, egress: { forbiddenPorts: () => [] } }).map(describeTool);
    const compile = createPlanCompiler({
      tools,
      models: createModelService({ openai: { apiKey: undefined, baseUrl: undefined } })
        .list()
        .map(({ name }) => name),
    });
    const save = () =>
      saveExamples({ database: rig.database, compile, log: pino({ level: 'silent' }) }, owner, {
        folder: join(projectRoot, 'examples'),
        planSchemaUrl: 'file:///plan.schema.json',
      });
    expect(await save()).toEqual(expect.arrayContaining(['approval', 'fan-out', 'log-triage']));
    expect(await save()).toEqual([]);
  });
});
