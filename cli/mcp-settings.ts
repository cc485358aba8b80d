/** Programs whose settings we know how to write. */
export const mcpClients = ['claude-code', 'codex', 'cursor', 'gemini', 'vscode'] as const;
export type McpClient = (typeof mcpClients)[number];

/** The environment variable that the settings name in place of the key. */
export const keyVariable = 'KOS_API_KEY';

export interface McpSettings {
  /** Where the client looks for them. */
  file: string;
  text: string;
}

interface Server {
  /** Address of the MCP server. */
  url: string;
  /** Null: the settings say where the client finds it. */
  apiKey: string | null;
}

/** What a client needs to know of a server, in the client's own words. */
export function mcpSettings(client: McpClient, { url, apiKey }: Server): McpSettings {
  const bearer = (reference: string): { Authorization: string } => ({ Authorization: `Bearer ${apiKey ?? reference}` });
  switch (client) {
    case 'claude-code':
      return asJson('.mcp.json', { mcpServers: { kos: { type: 'http', url, headers: bearer(`\${${keyVariable}}`) } } });
    case 'cursor':
      return asJson('.cursor/mcp.json', { mcpServers: { kos: { url, headers: bearer(`\${env:${keyVariable}}`) } } });
    case 'gemini':
      return asJson('.gemini/settings.json', { mcpServers: { kos: { httpUrl: url, headers: bearer(`$${keyVariable}`) } } });
    case 'vscode':
      return asJson('.vscode/mcp.json', {
        ...(apiKey === null ? { inputs: [{ type: 'promptString', id: keyVariable, description: 'API key of kOS', password: true }] } : {}),
        servers: { kos: { type: 'http', url, headers: bearer(`\${input:${keyVariable}}`) } },
      });
    case 'codex': {
      const credential = apiKey === null ? `bearer_token_env_var = "${keyVariable}"` : `http_headers = { Authorization = "Bearer ${apiKey}" }`;
      return { file: '~/.codex/config.toml', text: `[mcp_servers.kos]\nurl = ${JSON.stringify(url)}\n${credential}` };
    }
  }
}

const asJson = (file: string, settings: object): McpSettings => ({ file, text: JSON.stringify(settings, null, 2) });
