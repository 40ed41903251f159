import * as z from 'zod';

const SYNC = ['none', 'nsm'] as const;

export const clock = z
  .strictObject({
    sync: z
      .enum(SYNC)
      .meta({
        description:
          "Whose time the clock follows. `nsm`: that of the Nitro Secure Module, which the parent cannot change. `none`: nobody's; a drift is only reported.",
        allowed: '`nsm` or `none`',
        default: 'none',
      })
      .nullish(),
  })
  .meta({ description: 'The clock inside the enclave.', allowed: 'a map' });

export interface Clock {
  sync: (typeof SYNC)[number];
}

export function normaliseClock(raw: z.output<typeof clock>): Clock {
  return { sync: raw.sync ?? 'none' };
}
