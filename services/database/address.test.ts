import { describe, expect, it } from 'vitest';
import { parseDatabaseUrl } from './address.ts';

describe('the address of a database', () => {
  it('is read with its defaults', () => {
    expect(parseDatabaseUrl('postgres://ada:p%40ss@db.example.com/kos')).toEqual({
      host: 'db.example.com',
      port: 5432,
      database: 'kos',
      user: 'ada',
      password: 'p@ss',
    });
    expect(parseDatabaseUrl('postgresql://ada@[::1]:6543/kos')).toMatchObject({ host: '::1', port: 6543, password: '' });
    expect(parseDatabaseUrl('postgres://ada@localhost/kos?host=/run/postgresql')).toMatchObject({ host: '/run/postgresql' });
  });

  it.each(['require', 'verify-full'])('asks for TLS by sslmode=%s', (ssl) => {
    expect(parseDatabaseUrl(`postgres://ada@db/kos?sslmode=${ssl}`)).toMatchObject({ ssl });
  });

  it.each(['disable', 'allow', 'prefer'])('does without TLS by sslmode=%s', (ssl) => {
    expect(parseDatabaseUrl(`postgres://ada@db/kos?sslmode=${ssl}`)).not.toHaveProperty('ssl');
  });

  it.each(['verify-ca', 'Require', 'required', ''])('never falls back to an unencrypted connection: sslmode=%s', (ssl) => {
    expect(() => parseDatabaseUrl(`postgres://ada:hunter22@db/kos?sslmode=${ssl}`)).toThrow('verify-full');
  });

  it.each(['mysql://ada:hunter22@db/kos', 'postgres://ada:hunter22@db', 'postgres://:hunter22@db/kos', 'postgres://ada:hunter22%@db/kos', 'hunter22'])(
    'that is none is refused without its password (%#)',
    (url) => {
      const read = (): unknown => parseDatabaseUrl(url);
      expect(read).toThrow('DATABASE_URL');
      expect(read).not.toThrow('hunter22');
    },
  );
});
