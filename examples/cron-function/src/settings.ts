/** What the platform sets for the functions. */
export const {
  DATABASE_URL: connectionString = 'postgresql://localhost:5432/users',
  /** Where mails are sent to, by POST. */
  MAIL_URL: mailUrl = 'http://localhost:2525/mails',
  /** The platform sends it with each scheduled call, so that nobody else can make one. */
  CRON_SECRET: cronSecret,
  PORT: port = '3000',
} = process.env
