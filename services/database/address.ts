/** Where a Postgres database is and who signs in. `host` may be a folder: the Unix socket's. */
export interface DatabaseAddress {
  host: string;
  port: number;
  database: string;
  user: string;
  password: string;
  /** TLS as libpq's `sslmode` names it; embedded databases need none. */
  ssl?: 'require' | 'verify-full';
}

/** Modes in which libpq takes an unencrypted connection. */
const unencryptedModes = new Set([null, 'disable', 'allow', 'prefer']);

/**
 * Reads `postgres://user:password@host:port/database?sslmode=…`; throws an error that never repeats the password. A mode that it does not know
 * is refused: whoever asks for encryption must not get less.
 */
export function parseDatabaseUrl(text: string): DatabaseAddress {
  const url = URL.parse(text);
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol)) throw new Error('DATABASE_URL must look like postgres://user:password@host:5432/database');
  const sslmode = url.searchParams.get('sslmode');
  const address: DatabaseAddress = {
    host: url.searchParams.get('host') ?? url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port === '' ? 5432 : url.port),
    database: decoded(url.pathname.slice(1)),
    user: decoded(url.username),
    password: decoded(url.password),
  };
  if (address.database === '' || address.user === '') throw new Error('DATABASE_URL must name a user and a database');
  if (unencryptedModes.has(sslmode)) return address;
  if (sslmode !== 'require' && sslmode !== 'verify-full')
    throw new Error(`DATABASE_URL asks for sslmode=${sslmode}; kOS knows disable, require and verify-full`);
  return { ...address, ssl: sslmode };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) throw new Error('DATABASE_URL holds a % that begins no escape: write it as %25');
    throw error;
  }
}
