import { join } from 'node:path';
import { expect, test } from 'vitest';
import { EnvironmentError, projectRoot, readConfiguration } from '#config';

test('an empty variable means the same as none', () => {
  const names = [
    'KOS_HOME',
    'KOS_PORT',
    'KOS_HOST',
    'KOS_PUBLIC_URL',
    'KOS_INSECURE',
    'TEMPORAL_ADDRESS',
    'TEMPORAL_NAMESPACE',
    'DATABASE_URL',
    'XDG_CACHE_HOME',
  ];
  expect(readConfiguration(Object.fromEntries(names.map((name) => [name, ' '])))).toEqual(readConfiguration({}));
  expect(readConfiguration({})).toMatchObject({ home: join(projectRoot, '.kos'), port: 3000, host: '127.0.0.1', insecure: false });
});

test('every wrong value is named in one error, and none is repeated', () => {
  const wrong = { KOS_PORT: 'seventy', KOS_PUBLIC_URL: 'ftp://kos.example.com', KOS_INSECURE: 'yes' };
  expect(() => readConfiguration(wrong)).toThrow(EnvironmentError);
  expect(() => readConfiguration(wrong)).toThrow(
    /KOS_PORT: must be a port: a whole number from 0 to 65535[^]*KOS_PUBLIC_URL: must be an http or https address[^]*KOS_INSECURE/,
  );
});

test('addresses are made by joining paths to the public URL, so it ends without a slash', () => {
  expect(readConfiguration({ KOS_PUBLIC_URL: 'https://kos.example.com/' }).publicUrl).toBe('https://kos.example.com');
});

test('origins are taken as browsers send them, and nothing else', () => {
  expect(readConfiguration({ KOS_CODEC_ORIGINS: 'http://127.0.0.1:8233, https://temporal.example.com' }).codecOrigins).toEqual([
    'http://127.0.0.1:8233',
    'https://temporal.example.com',
  ]);
  for (const wrong of ['*', 'temporal.example.com', 'https://temporal.example.com/', 'https://*.example.com/x', 'null', 'file:///x'])
    expect(() => readConfiguration({ KOS_CODEC_ORIGINS: wrong }), wrong).toThrow(/KOS_CODEC_ORIGINS: .* is no origin/);
});
