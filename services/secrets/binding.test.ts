import { expect, it } from 'vitest';
import { isBoundTo } from './secrets.ts';

it.each<[string, string, boolean]>([
  ['api.example.com', 'api.example.com:443', true],
  ['api.example.com', 'api.example.com:8443', true],
  ['api.example.com:8443', 'api.example.com:8443', true],
  ['api.example.com:8443', 'api.example.com:443', false],
  ['*.example.com', 'api.example.com:443', true],
  ['*.example.com', 'example.com:443', false],
  ['*.example.com', 'badexample.com:443', false],
  ['*.example.com:8443', 'api.example.com:443', false],
  ['[2001:db8::1]', '[2001:db8::1]:443', true],
  ['[2001:db8::1]:8443', '[2001:db8::1]:8443', true],
  ['[2001:db8::1]:8443', '[2001:db8::1]:443', false],
])('a secret bound to %s may go to %s: %s', (allowed, endpoint, expected) => {
  expect(isBoundTo(allowed, endpoint)).toBe(expected);
});
