import { Connection } from '@temporalio/client';
import postgres from 'postgres';
import { describe, expect, inject, test } from 'vitest';

describe('the servers that a test run shares', () => {
  test('Postgres answers its superuser over a socket, with SCRAM and the settings it was given', async () => {
    const { postgres: facts } = inject('servers');
    const sql = postgres({ ...facts, max: 1 });
    try {
      const [row] = await sql`select current_database() as database, inet_server_addr() as address, current_setting('shared_buffers') as buffers`;
      expect(row).toEqual({ database: 'kos', address: null, buffers: '64MB' });
    } finally {
      await sql.end();
    }
  });

  test('Postgres refuses a wrong password, on the socket too', async () => {
    const { postgres: facts } = inject('servers');
    const sql = postgres({ ...facts, password: 'wrong', max: 1 });
    await expect(sql`select 1`).rejects.toMatchObject({ code: '28P01' });
    await sql.end();
  });

  test('Temporal keeps closed workflows for seven days and knows the workspace attribute', async () => {
    const { temporal } = inject('servers');
    const connection = await Connection.connect({ address: temporal.address });
    try {
      const { config } = await connection.workflowService.describeNamespace({ namespace: temporal.namespace });
      expect(Number(config?.workflowExecutionRetentionTtl?.seconds)).toBe(7 * 24 * 60 * 60);
      const attributes = await connection.operatorService.listSearchAttributes({ namespace: temporal.namespace });
      expect(Object.keys(attributes.customAttributes ?? {})).toContain('KosWorkspace');
    } finally {
      await connection.close();
    }
  });
});
