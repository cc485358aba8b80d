import type { ImportEdge } from './import-graph.ts';

/** What the files of one room may import from the project. The first room whose `files` match a path is its room. */
export interface Room {
  name: string;
  files: RegExp;
  /** Project files whose values may be imported. */
  values: RegExp;
  /** Project files of which types may be imported too. */
  types?: RegExp;
  /** npm packages whose values may be imported; absent: any. */
  packages?: RegExp;
  /** Node's own modules whose values may be imported; absent: any. */
  builtins?: RegExp;
  why: string;
}

const workflowNames = 'workflows/(messages|ids)\\.ts$';
const anything = /./;
const nothing = /^\b$/;

/** schemas ← core ← services ← activities ← workers, and what stands beside that line. */
export const rooms: Room[] = [
  { name: 'temporal.config.ts', files: /^temporal\.config\.ts$/, values: nothing, packages: /^zod$/, why: 'the configuration depends on nothing' },
  {
    name: 'launchers',
    files: /^scripts\/.*\.mjs$|^cli\/kai\.mjs$/,
    values: /^scripts\/.*\.mjs$|^cli\/kai\.mjs$/,
    packages: nothing,
    why: 'launchers run before anything is installed, on Node 20 too: no dependencies, no TypeScript',
  },
  {
    name: 'tests and tools',
    files: /^(tests|bench|scripts)\/|\.test\.tsx?$|^[^/]+\.config\.ts$/,
    values: anything,
    why: 'tests, benchmarks and checks see everything',
  },
  { name: 'schemas', files: /^schemas\//, values: /^schemas\//, packages: /^zod$/, builtins: nothing, why: 'both sides import schemas: they import zod only' },
  {
    name: 'core/engine',
    files: /^core\/engine\//,
    values: /^core\/engine\//,
    types: /^(schemas|core)\//,
    packages: nothing,
    builtins: nothing,
    why: 'workflows run core/engine in their sandbox: it imports nothing but types',
  },
  {
    name: 'core',
    files: /^core\//,
    values: /^(schemas|core)\//,
    // node:crypto for digests: a hash decides the same everywhere. Nothing that reads or writes the world.
    builtins: /^(crypto|util)$/,
    why: 'core decides and does nothing: schemas, core, no I/O',
  },
  {
    name: 'services',
    files: /^services\//,
    values: new RegExp(`^(schemas|core|services)/|^${workflowNames}`),
    types: /^(temporal\.config\.ts$|workflows\/)/,
    why: 'services wrap the outside: they know neither activities nor workers, and receive the configuration instead of reading it',
  },
  {
    name: 'activities',
    files: /^activities\//,
    values: new RegExp(`^(schemas|core|services|activities)/|^${workflowNames}`),
    types: /^temporal\.config\.ts$/,
    why: 'activities stand on services and receive what they need',
  },
  {
    name: 'workflows',
    files: /^workflows\//,
    values: /^(workflows|core\/engine)\//,
    types: /^(schemas|activities|core)\//,
    packages: /^@temporalio\/(workflow|common)$/,
    builtins: nothing,
    why: 'a workflow is loaded for every run: of the rest it sees types only',
  },
  {
    name: 'clients',
    files: /^clients\//,
    values: /^clients\//,
    packages: nothing,
    builtins: nothing,
    why: 'a client is a package of its own: it knows only the API',
  },
  {
    name: 'workers',
    files: /^workers\//,
    values: /^(schemas|core|services|activities|workflows|workers|web\/api)\/|^temporal\.config\.ts$/,
    why: 'workers compose; nothing composes the command line',
  },
  {
    name: 'web',
    files: /^web\//,
    values: new RegExp(`^(schemas|core|services|web)/|^temporal\\.config\\.ts$|^${workflowNames}`),
    why: 'the API sees schemas, core, services and the names of workflow messages',
  },
  {
    name: 'cli',
    files: /^cli\//,
    values: new RegExp(`^(schemas|core|services|cli)/|^temporal\\.config\\.ts$|^${workflowNames}`),
    why: 'kai sees schemas, core, services and the names of workflow messages',
  },
];

/** One sentence for each import that its room may not write. */
export function judgeImports(edges: readonly ImportEdge[], allRooms: readonly Room[] = rooms): string[] {
  return edges.flatMap((edge) => {
    const fault = judgeImport(edge, allRooms);
    return fault === null ? [] : [`${edge.from}:${edge.line} imports ${edge.specifier}: ${fault}`];
  });
}

function judgeImport(edge: ImportEdge, allRooms: readonly Room[]): string | null {
  const room = allRooms.find((candidate) => candidate.files.test(edge.from));
  if (room === undefined) {
    return 'this folder is no room of the project; see ARCHITECTURE.md';
  }
  switch (edge.to.kind) {
    case 'missing':
      return 'no such file';
    case 'package':
      return edge.typeOnly || (room.packages ?? anything).test(edge.to.name) ? null : room.why;
    case 'builtin':
      return edge.typeOnly || (room.builtins ?? anything).test(edge.to.name) ? null : room.why;
    case 'file':
      return judgeFileImport(edge, edge.to.path, room);
  }
}

function judgeFileImport(edge: ImportEdge, path: string, room: Room): string | null {
  if (room.name !== 'launchers' && edge.specifier.startsWith('.') && topFolder(edge.from) !== topFolder(path)) {
    return `another room is imported by its name, #${path}`;
  }
  if (/\.test\.tsx?$|^tests\//.test(path) && room.name !== 'tests and tools') {
    return 'only tests import tests';
  }
  if (room.values.test(path)) {
    return null;
  }
  if (room.types?.test(path)) {
    return edge.typeOnly ? null : `types only (\`import type\`): ${room.why}`;
  }
  return room.why;
}

const topFolder = (path: string): string => path.slice(0, path.indexOf('/') + 1);
