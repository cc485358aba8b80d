import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { extname, join } from 'node:path';
import { conclude, isGenerated, listProjectFiles, projectRoot } from './project-files.ts';

/** What must stand in no file. Patterns are written so that they do not match their own source; nobody’s home is called `me`, `you`, `user` or `kos`. */
const faultPatterns: { pattern: RegExp; fault: string }[] = [
  { pattern: /(?<![\w.$}])\/(?:home|Users)\/(?!(?:me|you|user|kos)\/)[a-z][\w-]*\//i, fault: 'a path of one person’s machine' },
  { pattern: /(?<![\w.$}])\/root\/[\w.]/, fault: 'a path of one machine’s superuser' },
  { pattern: /\b[A-Z]:\\{1,2}Users\\{1,2}\w/, fault: 'a path of one person’s machine' },
  { pattern: /\b(?:https?:)?\/\/(?:registry|npm|artifactory|nexus|verdaccio|proxy)\.[\w-]+\.[\w.-]+/, fault: 'a package registry’s host' },
  { pattern: /^\s*(?:@[\w-]+:)?registry\s*=/m, fault: 'a package registry' },
  { pattern: /\b(?:TO(?:)DO|FIX(?:)ME)\b/, fault: 'a mark of unfinished work: finish it, or file an issue' },
  { pattern: /^(?:<{7}|>{7}) /m, fault: 'a merge conflict' },
  { pattern: /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/, fault: 'a private key' },
  {
    pattern: /\b(?:sk-(?:proj-)?[A-Za-z0-9]{24,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|xox[abpr]-[0-9A-Za-z-]{20,})\b/,
    fault: 'a key of an outside service',
  },
];

const binaryExtensions = new Set(['.binpb', '.png', '.jpg', '.ico', '.woff2', '.gz', '.wasm', '.gif']);

/** Paths of this very checkout and this very person: whoever runs the check finds what their own machine let slip in. */
export function machinePatterns(root: string, home: string): { pattern: RegExp; fault: string }[] {
  return [root, home]
    .filter((path) => path.split('/').length > 2)
    .map((path) => ({ pattern: new RegExp(`(?<![\\w./])${RegExp.escape(path)}(?=[/\\s'"\`),:]|$)`, 'm'), fault: 'a path of this machine' }));
}

export function findTextFaults(path: string, text: string, patterns: { pattern: RegExp; fault: string }[] = faultPatterns): string[] {
  return patterns.flatMap(({ pattern, fault }) => {
    const match = pattern.exec(text);
    return match === null ? [] : [`${path}:${text.slice(0, match.index).split('\n').length} holds ${fault}: ${match[0].trim()}`];
  });
}

if (import.meta.main) {
  const files = listProjectFiles().filter((path) => !binaryExtensions.has(extname(path)) && !isGenerated(path) && path !== 'package-lock.json');
  const patterns = [...faultPatterns, ...machinePatterns(projectRoot, homedir())];
  const faults = files.flatMap((path) => findTextFaults(path, readFileSync(join(projectRoot, path), 'utf8'), patterns));
  conclude(faults, `${files.length} texts`);
}
