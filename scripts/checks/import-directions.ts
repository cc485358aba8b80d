import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findCycles, buildImportGraph } from './import-graph.ts';
import { judgeImports } from './import-rules.ts';
import { conclude, isGenerated, listProjectFiles, projectRoot } from './project-files.ts';

/** Faults of the tree under `root`: imports that go the wrong way, and circles. */
export function checkImportDirections(root: string): { faults: string[]; looked: string } {
  const files = listProjectFiles(root);
  const sources = new Map(
    files.filter((path) => /\.(ts|tsx|mjs)$/.test(path) && !isGenerated(path)).map((path) => [path, readFileSync(join(root, path), 'utf8')]),
  );
  const { imports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { imports: Record<string, string> };
  const { edges, unread } = buildImportGraph(sources, new Set(files), imports);
  const circles = findCycles(edges).map((circle) => `imports go round in a circle: ${circle.join(' → ')}`);
  return { faults: [...unread, ...judgeImports(edges), ...circles], looked: `${edges.length} imports of ${sources.size} files` };
}

if (import.meta.main) {
  const { faults, looked } = checkImportDirections(projectRoot);
  conclude(faults, looked);
}
