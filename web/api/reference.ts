import { z } from 'zod';
import type { BodyFormat, Route } from './route.ts';

const introduction = `# The HTTP API

Generated from the route table by \`node scripts/generate-api-reference.ts\`; \`GET /v1/openapi.json\` has every schema in full.

## Conventions

- **Sign-in.** \`Authorization: Bearer <key or access token>\`, or a session's cookie. Every start writes the owner's key to \`$KOS_HOME/cli.json\` (mode 0600) with the address to use. A key or token belongs to
  one workspace; a session of somebody in several names one in \`Kos-Workspace\` (\`?workspace=\` on streams). What is in another workspace answers 404. Without the permission that a route names, the answer is 403, and says
  why and who can grant it. Changes by a session must be JSON with an \`Origin\` equal to the public address. Who may do what: [access.md](access.md).
- **Host.** Requests are answered for the public address (\`KOS_PUBLIC_URL\`) and for loopback with the port; any other \`Host\` gets 421.
- **Problems** are RFC 9457 documents (\`application/problem+json\`): \`{ type, title, status, detail, code, traceId, retryable, fix, errors: [{ pointer, message }] }\`. Decide by \`code\`; \`fix\` is for
  people. A \`traceparent\` header (W3C) gives the \`traceId\`, and comes back with every answer, as does \`X-Request-Id\`.
- **Lists** are \`{ items, nextCursor }\`; \`cursor\` is opaque, \`limit\` at most 200.
- **\`Idempotency-Key\`** is needed where a route says so: 400 without one. A repeat with the same key and body is answered again, as things are today, with \`Idempotency-Replayed: true\`; another body under
  the same key is 422, a request that is still being worked on 409. Keys are kept for 24 hours, by workspace, principal, method and path; a refusal (4xx) leaves none. Bare and quoted keys are equal.
- **\`ETag\` and \`If-Match\`** guard what people edit: 428 without where a route needs it, 412 when somebody else was faster.
- **\`Prefer: wait=N\`** (RFC 7240, at most 60) on a start answers 200 with the run when it ends in time, else 202.
- **Events** of a run come as server-sent events when \`Accept\` names \`text/event-stream\`, as pages of JSON otherwise. The SSE id is the event's position; \`Last-Event-ID\` or \`?after=\` goes on
  after it. A \`reset\` event says that the position is not known any more (another database, or beyond retention): what follows starts over. A comment comes every 15 s while nothing happens.
  Who takes nothing for 30 s is dropped: the last event is then \`dropped\` (\`{ reason: "slow", message, position }\`), if the connection still takes it, and they go on with their position. The metric \`kos_event_streams_dropped_total\` counts them by kind.
- **Events of the workspace**, of every run and of what is no run's: \`GET /v1/events\`, in the same way, and as a WebSocket \`GET /v1/ws\`. Without a position they begin with what comes; a first message, \`ready\`,
  says where that is. \`?topic=run,approval\` (what a type begins with) and \`?run=\` choose among them; \`?run=\` begins at the run's first event. You get what you may read, as your rights are every other second, and nothing once your credential is revoked.
- **Text of model calls** comes through the same streams while the model speaks, as \`model.delta\`: \`{ type, workspaceId, runId, at, data: { stepPath, attempt, call, from, text } }\`, at most every 50 ms, for who has \`runs:read\`. It is no event: it has no \`id\` and
  no position, is in no page and goes to no webhook. \`from\` counts the characters before; who connects in the middle of a call, or comes back, gets its text so far first (\`from\` is 0). A higher \`call\` of the same step takes the place of a lower one. Of one
  call at most 200,000 characters come; the whole is the step's output. \`?topic=model\` asks for it alone, other topics leave it out.
- **The WebSocket** sends \`{ id, type, agent, task_id, payload, timestamp, position }\`: \`task_id\` is the run's id, \`position\` what \`?after=\` takes. It goes from server to client only: anything a client sends closes it with 1008. Sign in by header or cookie;
  a cookie's \`Origin\` must be the public address. A ping comes every 15 s and must be answered. Who takes nothing for 30 s is closed with 1013, and goes on with their position; a lost right closes with 1008, a restart with 1001.
- **A decision** on an approval is one transaction, and final. It is bound to the exact arguments by their digest: another digest answers 412 with the current arguments. After \`expiresAt\` by the
  database's clock it is refused.
- **Limits.** Headers 16 kB, address 8 kB, bodies 1 MB where a route says nothing else, JSON 200 levels deep, UTF-8, no content encoding.
- **Compression.** JSON of 14 kB or more is compressed as \`Accept-Encoding\` says, for clients on other machines; streams never are.
`;

/** The route table as a page to read. */
export function describeRoutes(routes: readonly Route[]): string {
  const groups = Map.groupBy(routes, groupOf);
  const sections = [...groups].map(([group, members]) => `## ${group}\n\n${members.map(describeRoute).join('\n')}`);
  return `${introduction}\n${sections.join('\n')}`;
}

function groupOf({ path }: Route): string {
  const [, first = '', second = ''] = path.split('/');
  return first === 'v1' && ['plans', 'runs', 'approvals', 'approval-rules', 'artifacts', 'secrets', 'settings'].includes(second)
    ? `/v1/${second}`
    : 'Installation';
}

const formatNames: Record<BodyFormat, string> = { json: 'JSON', yaml: 'YAML', form: 'a form', raw: 'as its sender makes it' };

function describeRoute(route: Route): string {
  const facts = [
    'public' in route.access ? 'public' : `permission \`${route.access.permission}\``,
    ...(route.replay === undefined ? [] : ['needs `Idempotency-Key`']),
    ...(route.body === undefined
      ? []
      : [`body ${route.bodyFormats.map((format) => formatNames[format]).join(' or ')}, at most ${route.bodyBytes / 1_000_000} MB`]),
  ];
  const lines = [`### ${route.method.toUpperCase()} ${route.path}\n`, `${route.summary}. ${capitalised(facts.join('; '))}.\n`];
  const fields = [...fieldsOf(route.query, 'query'), ...fieldsOf(route.body, 'body')];
  if (fields.length > 0) lines.push(`| name | in | type | |\n|---|---|---|---|\n${fields.join('\n')}\n`);
  lines.push(`Answers: ${Object.entries(route.responses).map(describeAnswer).join('; ')}.\n`);
  return lines.join('\n');
}

interface FieldSchema {
  type?: string;
  enum?: string[];
  anyOf?: FieldSchema[];
  items?: FieldSchema;
  default?: unknown;
  maximum?: number;
}

function fieldsOf(schema: z.ZodType | undefined, place: 'query' | 'body'): string[] {
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as {
    properties?: Record<string, FieldSchema>;
    required?: string[];
  };
  return Object.entries(properties).map(
    ([name, field]) => `| \`${name}\` | ${place} | ${typeOf(field)} | ${required.includes(name) ? 'required' : defaultOf(field)} |`,
  );
}

function typeOf(field: FieldSchema): string {
  if (field.enum !== undefined) return field.enum.map((value) => `\`${value}\``).join(', ');
  if (field.anyOf !== undefined) return [...new Set(field.anyOf.map(typeOf))].join(' or ');
  if (field.type === 'array') return `list of ${typeOf(field.items ?? {})}`;
  return field.type ?? 'any';
}

const defaultOf = (field: FieldSchema): string => (field.default === undefined ? '' : `default \`${JSON.stringify(field.default)}\``);

function describeAnswer([status, answer]: [string, Route['responses'][number]]): string {
  if (answer === null) return `${status} without a body`;
  if (!(answer instanceof z.ZodType)) return `${status} \`${answer.mediaType}\``;
  const { properties } = z.toJSONSchema(answer, { io: 'output', unrepresentable: 'any' }) as { properties?: object };
  const names = Object.keys(properties ?? {});
  return Number(status) >= 400 ? `${status} problem` : `${status} \`{ ${names.join(', ')} }\``;
}

const capitalised = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
