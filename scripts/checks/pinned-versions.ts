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
  optional?: boolean;
  /** Platforms it is for; absent: all. */
  os?: string[];
  dependencies?: Versions;
  optionalDependencies?: Versions;
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
  return [
    ...loose,
    ...findTemporalFaults(lockfile),
    ...findMissingPackages(lockfile),
    ...Object.entries(lockfile.packages).flatMap(([path, locked]) => findLockFaults(path, locked)),
  ];
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
  // Which registry had the packages of other platforms differs; their versions are exact all the same.
  const otherPlatform = locked.optional === true && locked.os !== undefined;
  if (locked.integrity === undefined && !otherPlatform) {
    faults.push(`package-lock.json: ${path} has no integrity`);
  }
  return faults;
}

/**
 * npm leaves out of the lockfile what it could not fetch for another platform, and then refuses to install from that lockfile in a fresh clone
 * (github.com/npm/cli issue 4828). On the machine that wrote it all looks well.
 */
function findMissingPackages({ packages }: Lockfile): string[] {
  return Object.entries(packages).flatMap(([path, locked]) =>
    Object.keys({ ...locked.dependencies, ...locked.optionalDependencies })
      .filter((name) => !isLocked(packages, path, name))
      .map((name) => `package-lock.json: ${name}, which ${path || 'package.json'} names, is missing; npm ci would refuse`),
  );
}

/** Looks for it as Node would: beside what needs it, then in each folder above. */
function isLocked(packages: Lockfile['packages'], from: string, name: string): boolean {
  const place = from === '' ? `node_modules/${name}` : `${from}/node_modules/${name}`;
  if (packages[place] !== undefined) {
    return true;
  }
  return from !== '' && isLocked(packages, from.slice(0, Math.max(0, from.lastIndexOf('/node_modules/'))), name);
}

if (import.meta.main) {
  const read = (name: string): unknown => JSON.parse(readFileSync(join(projectRoot, name), 'utf8'));
  const lockfile = read('package-lock.json') as Lockfile;
  conclude(findVersionFaults(read('package.json') as PackageManifest, lockfile), `${Object.keys(lockfile.packages).length} locked packages`);
}
