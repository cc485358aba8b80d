import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { conclude, projectRoot } from './project-files.ts';

type Versions = Record<string, string>;

export interface PackageManifest {
  dependencies?: Versions;
  devDependencies?: Versions;
  optionalDependencies?: Versions;
}

export interface LockedPackage {
  version?: string;
  resolved?: string;
  integrity?: string;
  /** A workspace's symbolic link: nothing is fetched. */
  link?: boolean;
}

export interface Lockfile {
  packages: Record<string, LockedPackage>;
}

/** major.minor.patch with an optional pre-release (semver.org, 2.0.0); no range, tag, address or alias. */
const exactVersion = /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/;

export function findVersionFaults(manifest: PackageManifest, lockfile: Lockfile): string[] {
  const wanted = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies });
  const loose = wanted
    .filter(([, version]) => !exactVersion.test(version))
    .map(([name, version]) => `package.json: ${name} is ${version}; write one exact version`);
  return [...loose, ...findTemporalFaults(lockfile), ...Object.entries(lockfile.packages).flatMap(([path, locked]) => findLockFaults(path, locked))];
}

/** Temporal's packages speak to one another by internal names: two versions in one process fail in ways that name neither. */
function findTemporalFaults(lockfile: Lockfile): string[] {
  const versions = new Set<string>();
  for (const [path, locked] of Object.entries(lockfile.packages)) {
    if (/(^|\/)node_modules\/@temporalio\/[^/]+$/.test(path) && locked.version !== undefined) {
      versions.add(locked.version);
    }
  }
  return versions.size > 1 ? [`package-lock.json: the Temporal packages have several versions: ${[...versions].join(', ')}`] : [];
}

function findLockFaults(path: string, locked: LockedPackage): string[] {
  if (path === '' || locked.link) {
    return [];
  }
  const faults: string[] = [];
  if (locked.resolved !== undefined) {
    faults.push(`package-lock.json: ${path} names where it was fetched; run npm install with this project's .npmrc`);
  }
  if (locked.integrity === undefined) {
    faults.push(`package-lock.json: ${path} has no integrity`);
  }
  return faults;
}

if (import.meta.main) {
  const read = (name: string): unknown => JSON.parse(readFileSync(join(projectRoot, name), 'utf8'));
  const lockfile = read('package-lock.json') as Lockfile;
  conclude(findVersionFaults(read('package.json') as PackageManifest, lockfile), `${Object.keys(lockfile.packages).length} locked packages`);
}
