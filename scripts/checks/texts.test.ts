import { describe, expect, it } from 'vitest';
import { findTextFaults, machinePatterns } from './texts.ts';

// Bad examples are put together here, so that this file itself passes the check.
const join = (...parts: string[]): string => parts.join('');

describe('texts', () => {
  it.each([
    ['a home folder', join('const path = "/ho', 'me/ada/kos/run.ts"'), /one person’s machine/],
    ['the superuser’s folder', join('cat /ro', 'ot/.npmrc'), /superuser/],
    ['a Windows home folder', join('C:\\Us', 'ers\\ada'), /one person’s machine/],
    ['a registry in a lockfile', join('"resolved": "https://regi', 'stry.example.org/zod.tgz"'), /registry’s host/],
    ['a registry in a setting', join('save-exact=true\nregi', 'stry=https://packages.example.org'), /a package registry/],
    ['unfinished work', join('// TO', 'DO later'), /unfinished work/],
    ['a merge conflict', join('a\n<<<<', '<<< ours\n'), /merge conflict/],
    ['a private key', join('-----BEGIN PRIV', 'ATE KEY-----'), /private key/],
    ['a provider’s key', join('key: s', 'k-', 'a1B2'.repeat(8)), /key of an outside service/],
  ])('refuse %s', (_name, text, fault) => {
    const faults = findTextFaults('file.ts', text);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(fault);
  });

  it('name the line', () => {
    expect(findTextFaults('file.ts', join('one\ntwo\n// FIX', 'ME three'))[0]).toMatch(/^file\.ts:3 /);
  });

  it('allow what only looks alike', () => {
    expect(findTextFaults('file.ts', 'GET /v1/users/home and https://example.com/home/ada/x; /var/log/syslog; the method and the todo list')).toEqual([]);
  });

  it('refuse the checkout’s own path and the home folder of whoever runs the check', () => {
    const patterns = machinePatterns('/srv/builds/kos', '/export/ada');
    expect(findTextFaults('a.md', 'see /srv/builds/kos/README.md', patterns)).toHaveLength(1);
    expect(findTextFaults('a.md', 'see /export/ada', patterns)).toHaveLength(1);
    expect(findTextFaults('a.md', 'see /srv/builds/kosmos and /data/srv/builds/kos', patterns)).toEqual([]);
  });
});
