import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { conclude, projectRoot } from './project-files.ts';

export interface LicensedPackage {
  license?: string;
  dev?: boolean;
  devOptional?: boolean;
}

/** SPDX ids that ask for no more than to be named. */
const permissive = new Set([
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'CC-BY-4.0',
  'Unlicense',
  'PostgreSQL',
  'Python-2.0',
  'Zlib',
]);

/** Packages whose manifest names no licence, with what their own licence file says. */
const readByHand: Record<string, string> = { unionfs: 'Unlicense' };

/** Of an SPDX expression with AND, OR and brackets: all parts of AND, any part of OR (SPDX 3.0, annex B). Unknown words are not permissive. */
export function isPermissive(expression: string): boolean {
  const tokens = expression.match(/\(|\)|[^\s()]+/g) ?? [];
  let position = 0;
  const either = (): boolean => {
    let allowed = both();
    while (tokens[position] === 'OR') {
      position += 1;
      const other = both();
      allowed = allowed || other;
    }
    return allowed;
  };
  const both = (): boolean => {
    let allowed = one();
    while (tokens[position] === 'AND') {
      position += 1;
      const other = one();
      allowed = allowed && other;
    }
    return allowed;
  };
  const one = (): boolean => {
    const token = tokens[position];
    position += 1;
    if (token !== '(') {
      return token !== undefined && permissive.has(token);
    }
    const allowed = either();
    position += 1;
    return allowed;
  };
  const allowed = either();
  return allowed && position === tokens.length;
}

export function findLicenceFaults(packages: Record<string, LicensedPackage>): string[] {
  return Object.entries(packages).flatMap(([path, entry]) => {
    if (path === '' || entry.dev || entry.devOptional) {
      return [];
    }
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const licence = entry.license ?? readByHand[name];
    if (licence === undefined) {
      return [`${name} names no licence: read its licence file and note it in scripts/checks/licences.ts, or do without it`];
    }
    return isPermissive(licence) ? [] : [`${name} is under ${licence}, which is not on the list of permissive licences`];
  });
}

if (import.meta.main) {
  const { packages } = JSON.parse(readFileSync(join(projectRoot, 'package-lock.json'), 'utf8')) as { packages: Record<string, LicensedPackage> };
  conclude(findLicenceFaults(packages), `${Object.keys(packages).length} locked packages`);
}
