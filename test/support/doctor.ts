import type { DoctorOptions, Finding, FindingCode } from '@pgpubsub/core'
import { expect, vi } from './test.ts'

interface Examined {
  doctor(options?: DoctorOptions): Promise<Finding[]>
}

/** The findings of a code, as soon as there is one: the server's statistics come a moment after what they count. */
export async function found(engine: Examined, code: FindingCode, options?: DoctorOptions): Promise<Finding[]> {
  return vi.waitFor(
    async () => {
      const findings = await engine.doctor(options)
      expect(findings.map((finding) => finding.code)).toContain(code)
      return findings.filter((finding) => finding.code === code)
    },
    { timeout: 10_000, interval: 50 },
  )
}

/** Codes of the findings. That a server for tests is one is not told of. */
export async function codes(engine: Examined, options?: DoctorOptions): Promise<FindingCode[]> {
  return (await engine.doctor(options)).map(({ code }) => code).filter((code) => code !== 'fsync-off')
}
