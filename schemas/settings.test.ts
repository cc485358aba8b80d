import { describe, expect, it } from 'vitest';
import { planNameSchema } from './plan.ts';
import { startRunSchema } from './run.ts';
import { setSecretSchema } from './secret.ts';
import { workspaceSettingsSchema } from './settings.ts';

const accepts = (endpoint: string): boolean => workspaceSettingsSchema.safeParse({ egress: [endpoint] }).success;
const binds = (host: string): boolean => setSecretSchema.safeParse({ value: 'x', hosts: [host] }).success;

describe('hosts', () => {
  it.each(['api.example.com', 'my_service', 'a_b.example.com', '_dns.example.com', '10.0.0.1', '[::1]', '*.example.com'])('%s is one', (host) => {
    expect(accepts(`${host}:8080`)).toBe(true);
    expect(binds(host)).toBe(true);
    expect(binds(`${host}:8080`)).toBe(true);
  });

  it.each(['a b', 'a/b', 'http://a', 'user@a', 'a..b', '', '*', 'a*.b'])('"%s" is none', (host) => {
    expect(accepts(`${host}:80`)).toBe(false);
  });

  it('are compared in lower case, so they are kept so', () => {
    expect(workspaceSettingsSchema.parse({ egress: ['API.Example.com:443'] }).egress).toEqual(['api.example.com:443']);
  });
});

it('every plan that can be saved can be started by its name', () => {
  const longest = `a${'b'.repeat(63)}`;
  expect(planNameSchema.safeParse(longest).success).toBe(true);
  expect(startRunSchema.safeParse({ plan: longest }).success).toBe(true);
  expect(startRunSchema.safeParse({ plan: `${longest}@12` }).success).toBe(true);
  expect(startRunSchema.safeParse({ plan: `${longest}b` }).success).toBe(false);
});
