import { z } from 'zod';
import { freshKeyInShell } from '#core/again/snippets.ts';
import { operationId } from './openapi.ts';
import type { Route } from './route.ts';

/** The route table as a page for browsers: no script, so that the strictest policy holds and nothing in a schema can run. */
export function renderDocs(routes: readonly Route[], about: { version: string; publicUrl: string }): string {
  const groups = [...Map.groupBy(routes, groupOf)].toSorted(([left], [right]) => left.localeCompare(right));
  const links = groups.map(([group]) => `<li><a href="#${anchor(group)}">${escape(group)}</a></li>`).join('');
  const sections = groups.map(
    ([group, members]) => `<section id="${anchor(group)}"><h2>${escape(group)}</h2>${members.map((route) => renderRoute(route, about)).join('')}</section>`,
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>kOS API ${escape(about.version)}</title><link rel="stylesheet" href="/v1/docs/page.css"></head><body>
<header><h1>kOS API</h1><p>Version ${escape(about.version)} at <code>${escape(about.publicUrl)}</code>. As a document: <a href="/v1/openapi.json">openapi.json</a> (OpenAPI 3.1).
Keys go into <code>Authorization: Bearer</code>; a session changes things only as JSON from a page of this address.</p></header>
<nav aria-label="Groups"><ul>${links}</ul></nav><main>${sections.join('')}</main></body></html>`;
}

const groupOf = ({ path }: Route): string => (path.startsWith('/v1/') ? `/v1/${path.split('/')[2] ?? ''}` : 'Installation');

const anchor = (group: string): string => group.replaceAll(/[^a-z0-9]+/gi, '-').replace(/^-/, '');

function renderRoute(route: Route, about: { publicUrl: string }): string {
  const facts = [
    'public' in route.access ? 'public' : `permission <code>${escape(route.access.permission)}</code>`,
    `counts as <code>${route.rate}</code>`,
    ...(route.replay === undefined ? [] : ['needs <code>Idempotency-Key</code>']),
  ];
  const parts = [
    renderFields('Path', route.params),
    renderFields('Query', route.query),
    renderFields('Body', route.body),
    ...Object.entries(route.responses).map(([status, answer]) => renderAnswer(route, Number(status), answer)),
    `<pre>${escape(curlOf(route, about.publicUrl))}</pre>`,
  ];
  return `<details id="${operationId(route)}"><summary><b class="${route.method}">${route.method.toUpperCase()}</b> <code>${escape(route.path)}</code> ${inWords(route.summary)}</summary>
<p>${facts.join(', ')}</p>${parts.join('')}</details>`;
}

interface FieldSchema {
  type?: string | string[];
  enum?: unknown[];
  anyOf?: FieldSchema[];
  items?: FieldSchema;
  description?: string;
  default?: unknown;
  pattern?: string;
}

const schemaOf = (schema: z.ZodType, io: 'input' | 'output') =>
  z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as { properties?: Record<string, FieldSchema>; required?: string[] };

function renderFields(title: string, schema: z.ZodType | undefined): string {
  if (schema === undefined) return '';
  const { properties = {}, required = [] } = schemaOf(schema, 'input');
  const rows = Object.entries(properties).map(([name, field]) => {
    const note = required.includes(name) ? 'required' : field.default === undefined ? 'optional' : `default ${JSON.stringify(field.default)}`;
    return `<tr><td><code>${escape(name)}</code></td><td>${escape(typeOf(field))}</td><td>${escape(note)}</td></tr>`;
  });
  return rows.length === 0 ? '' : `<h3>${title}</h3><table>${rows.join('')}</table>`;
}

function renderAnswer(route: Route, status: number, answer: Route['responses'][number]): string {
  if (answer === null) return `<h3>${status}</h3><p>without a body</p>`;
  if (!(answer instanceof z.ZodType)) return `<h3>${status}</h3><p><code>${escape(answer.mediaType)}</code></p>`;
  const fields = Object.entries(schemaOf(answer, 'output').properties ?? {}).map(([name, field]) => `${name}: ${typeOf(field)}`);
  const example = route.examples.answers?.[status];
  const shown = example === undefined ? '' : `<pre>${escape(JSON.stringify(example, null, 2))}</pre>`;
  return `<h3>${status}</h3><p><code>{ ${escape(fields.join(', '))} }</code></p>${shown}`;
}

function typeOf(field: FieldSchema): string {
  if (field.enum !== undefined) return field.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (field.anyOf !== undefined) return [...new Set(field.anyOf.map(typeOf))].join(' | ');
  if (field.type === 'array') return `${typeOf(field.items ?? {})}[]`;
  return field.type === undefined ? 'any' : [field.type].flat().join(' | ');
}

function curlOf(route: Route, publicUrl: string): string {
  const options = [
    ...('public' in route.access ? [] : ['-H "Authorization: Bearer $KOS_API_KEY"']),
    ...(route.replay === undefined ? [] : [`-H "Idempotency-Key: ${freshKeyInShell}"`]),
    ...(route.body === undefined ? [] : [`--json '${JSON.stringify(route.examples.body ?? {}).replaceAll("'", "'\\''")}'`]),
  ];
  const method = route.method === 'get' ? '' : ` -X ${route.method.toUpperCase()}`;
  return [`curl${method} ${publicUrl}${route.path}`, ...options].join(' \\\n  ');
}

/** What stands between backticks is code. */
const inWords = (text: string): string => escape(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>');

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll("'", '&#39;');
