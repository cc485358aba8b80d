import { hash, type Options, verify } from '@node-rs/argon2';

/** Argon2id: the library's own name for it exists only while compiling. */
const argon2id = 2;
/** OWASP's first choice for Argon2id (Password Storage Cheat Sheet): 19 MiB, 2 rounds, 1 lane; about 40 ms here. */
const cost: Options = { algorithm: argon2id, memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** More at once would let sign-ins take the machine's memory. */
const mostAtOnce = 4;

let running = 0;
const waiting: (() => void)[] = [];

/** A PHC string with a salt of its own. */
export const hashPassword = (password: string): Promise<string> => inTurn(() => hash(normalise(password), cost));

/** Against the hash of an account that has none, so that an unknown login takes as long as a known one. */
export async function passwordMatches(password: string, phc: string | null): Promise<boolean> {
  const matches = await inTurn(async () => verify(phc ?? (await absentHash()), normalise(password)));
  return matches && phc !== null;
}

/** The same password typed on another keyboard may be composed of other code points (RFC 8265 §4.2.2). */
const normalise = (password: string): string => password.normalize('NFC');

let absent: Promise<string> | null = null;
const absentHash = (): Promise<string> => (absent ??= hash('the password of nobody', cost));

async function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
  if (running >= mostAtOnce) await new Promise<void>((resolve) => waiting.push(resolve));
  else running += 1;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  }
}
