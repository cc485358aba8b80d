import { describe, expect, it } from 'vitest';
import { findVersionFaults } from './pinned-versions.ts';

const integrity = 'sha512-AAAA';

describe('pinned versions', () => {
  it('accept exact versions, pre-releases included', () => {
    const lockfile = { packages: { '': {}, 'node_modules/zod': { version: '4.6.7', integrity } } };
    expect(findVersionFaults({ dependencies: { zod: '4.6.7' }, devDependencies: { pg: '18.4.0-beta.17' } }, lockfile)).toEqual([]);
  });

  it.each(['^4.6.7', '~4.6.7', '4', '*', 'latest', '>=4.0.0', 'npm:other@1.0.0', 'file:../zod'])('refuse %s', (version) => {
    expect(findVersionFaults({ optionalDependencies: { zod: version } }, { packages: {} })).toHaveLength(1);
  });

  it('refuse two versions of Temporal, nested ones too', () => {
    const packages = {
      'node_modules/@temporalio/client': { version: '1.24.0', integrity },
      'node_modules/@temporalio/worker/node_modules/@temporalio/common': { version: '1.23.0', integrity },
    };
    expect(findVersionFaults({}, { packages })).toEqual(['package-lock.json: the Temporal packages have several versions: 1.24.0, 1.23.0']);
  });

  it('refuse a locked package that names its source or lacks integrity', () => {
    const faults = findVersionFaults({}, { packages: { 'node_modules/zod': { version: '4.6.7', resolved: 'https://example.org/zod.tgz' } } });
    expect(faults).toHaveLength(2);
    expect(faults.join()).toMatch(/names where it was fetched.*has no integrity/);
  });

  it('refuse a lockfile without the packages of another platform', () => {
    const tool = { version: '1.0.0', integrity, optionalDependencies: { 'tool-linux': '1.0.0', 'tool-darwin': '1.0.0' } };
    const linux = { version: '1.0.0', integrity, optional: true, os: ['linux'] };
    const faults = findVersionFaults({}, { packages: { 'node_modules/tool': tool, 'node_modules/tool-linux': linux } });
    expect(faults).toEqual(['package-lock.json: tool-darwin, which node_modules/tool names, is missing; npm ci would refuse']);
    const darwin = { version: '1.0.0', optional: true, os: ['darwin'] };
    expect(findVersionFaults({}, { packages: { 'node_modules/tool': tool, 'node_modules/tool-linux': linux, 'node_modules/tool-darwin': darwin } })).toEqual(
      [],
    );
  });

  it('find a nested package where Node would', () => {
    const packages = {
      'node_modules/a': { version: '1.0.0', integrity, dependencies: { b: '1', c: '1' } },
      'node_modules/a/node_modules/b': { version: '1.0.0', integrity, dependencies: { c: '1' } },
      'node_modules/c': { version: '1.0.0', integrity, dependencies: { b: '1' } },
    };
    expect(findVersionFaults({}, { packages })).toEqual(['package-lock.json: b, which node_modules/c names, is missing; npm ci would refuse']);
  });
});
