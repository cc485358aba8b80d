import { afterEach, describe, expect, test } from 'vitest';
import { kaiWithServer } from '#tests/kai/kai-with-server.ts';
import { mcpClients, mcpSettings } from './mcp-settings.ts';

const { kai, close } = kaiWithServer();
afterEach(close);

const url = 'http://127.0.0.1:3000/mcp';
const server = { url, apiKey: null };

describe('settings for MCP clients', () => {
  test.each(mcpClients)('of %s name the variable, and hold the key only when it is given', (client) => {
    const settings = mcpSettings(client, server);
    expect(settings.text).toContain(url);
    expect(settings.text).toContain('KOS_API_KEY');
    expect(mcpSettings(client, { url, apiKey: 'kos_the_key' }).text).toContain('Bearer kos_the_key');
  });

  test('are in each client’s own words', () => {
    const parsed = (client: 'claude-code' | 'cursor' | 'gemini' | 'vscode'): unknown => JSON.parse(mcpSettings(client, server).text);
    expect(parsed('claude-code')).toEqual({ mcpServers: { kos: { type: 'http', url, headers: { Authorization: 'Bearer ${KOS_API_KEY}' } } } });
    expect(parsed('cursor')).toEqual({ mcpServers: { kos: { url, headers: { Authorization: 'Bearer ${env:KOS_API_KEY}' } } } });
    expect(parsed('gemini')).toEqual({ mcpServers: { kos: { httpUrl: url, headers: { Authorization: 'Bearer $KOS_API_KEY' } } } });
    expect(parsed('vscode')).toMatchObject({ inputs: [{ password: true }], servers: { kos: { type: 'http', url } } });
    expect(mcpSettings('codex', server).text).toBe(`[mcp_servers.kos]\nurl = "${url}"\nbearer_token_env_var = "KOS_API_KEY"`);
  });
});

describe('kai mcp config', () => {
  test('prints settings alone on stdout, without the key', async () => {
    const { code, stdout, stderr } = await kai(['mcp', 'config', '--client', 'vscode'], {});
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ servers: { kos: { url: expect.stringMatching(/^http:.*\/mcp$/) as string } } });
    expect(stdout).not.toContain('kos_');
    expect(stderr).toContain('.vscode/mcp.json');
  });

  test('writes the key when it is asked for, and says what that key may', async () => {
    const { stdout, stderr } = await kai(['mcp', 'config', '--with-key'], {});
    expect(stdout).toMatch(/Bearer (?!\$)\S+/);
    expect(stderr).toContain('all that kai may');
    expect(JSON.parse((await kai(['mcp', 'config', '--json'], {})).stdout)).toMatchObject({ client: 'claude-code', file: '.mcp.json' });
  });

  test('refuses a client that it does not know', async () => {
    expect((await kai(['mcp', 'config', '--client', 'other'], {})).code).toBe(2);
  });
});
