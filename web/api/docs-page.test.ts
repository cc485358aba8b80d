import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { ApiDependencies } from './dependencies.ts';
import { renderDocs } from './docs-page.ts';
import { defineRoute, empty } from './route.ts';
import { makeRoutes } from './routes/index.ts';

const about = { version: '0.1.0', publicUrl: 'http://127.0.0.1:3000' };
const routes = makeRoutes({ ...about } as ApiDependencies);

describe('the documentation page', () => {
  it('tells every route, with its permission and how it counts', () => {
    const page = renderDocs(routes, about);
    for (const route of routes) expect(page).toContain(`<b class="${route.method}">${route.method.toUpperCase()}</b> <code>${route.path}</code>`);
    expect(page).toContain('<details id="postRuns">');
    expect(page).toContain('Needs <code>If-Match</code></summary>');
    expect(page).not.toMatch(/<summary>[^\n]*`/);
    expect(page).toContain('permission <code>runs:start</code>, counts as <code>change</code>, needs <code>Idempotency-Key</code>');
  });

  it('holds nothing that a strict policy refuses, and shows markup as text', () => {
    const page = renderDocs(
      [
        defineRoute({
          method: 'get',
          path: '/v1/x',
          summary: '<script>alert(1)</script>',
          access: { public: true },
          query: z.object({ '<img>': z.string() }),
          responses: { 204: null },
          handler: async () => empty(),
        }),
      ],
      about,
    );
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    for (const page_ of [page, renderDocs(routes, about)]) expect(page_).not.toMatch(/<script|<img|<style| style=| on[a-z]+=/);
  });
});

describe('examples', () => {
  it('are of every route that takes a body, and are what the schemas accept', () => {
    const withExamples = routes.filter(({ examples }) => Object.keys(examples).length > 0);
    const unshown = routes.filter(({ body, bodyFormats, examples }) => body !== undefined && !bodyFormats.includes('raw') && examples.body === undefined);
    expect(unshown.map(({ method, path }) => `${method} ${path}`)).toEqual([]);
    for (const { path, body, responses, examples } of withExamples) {
      if (examples.body !== undefined) expect(body?.safeParse(examples.body).error, path).toBeUndefined();
      for (const [status, example] of Object.entries(examples.answers ?? {})) {
        const answer = responses[Number(status)];
        expect(answer instanceof z.ZodType ? answer.safeParse(example).error : 'no schema', path).toBeUndefined();
      }
    }
  });
});
