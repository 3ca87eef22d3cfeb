-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "archive";

-- CreateEnum
CREATE TYPE "scan_status" AS ENUM ('Pending', 'scanned clean', 'Infected');

-- CreateEnum
CREATE TYPE "archive"."Mood" AS ENUM ('happy 🙂', 'so "sad"', 'Plain');

-- CreateTable
CREATE TABLE "user" (
    "id" SERIAL NOT NULL,
    "email" TEXT NOT NULL,
    "name" TEXT,
    "password_hash" TEXT,
    "created_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "user_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "media" (
    "id" SERIAL NOT NULL,
    "url" TEXT NOT NULL,
    "title" TEXT,
    "status" "scan_status" NOT NULL DEFAULT 'Pending',
    "virus" TEXT,
    "owner_id" INTEGER,
    "scanned_at" TIMESTAMP(3),
    "created_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "media_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "tag" (
    "id" SERIAL NOT NULL,
    "label" TEXT NOT NULL,
    "media_id" INTEGER NOT NULL,

    CONSTRAINT "tag_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "every_type" (
    "id" SERIAL NOT NULL,
    "string" TEXT,
    "varchar" VARCHAR(200),
    "char" CHAR(8),
    "uuid" UUID,
    "inet" INET,
    "xml" XML,
    "bit" BIT(5),
    "varbit" VARBIT(20),
    "boolean" BOOLEAN,
    "int" INTEGER,
    "smallint" SMALLINT,
    "oid" OID,
    "bigint" BIGINT,
    "float" DOUBLE PRECISION,
    "real" REAL,
    "decimal" DECIMAL(65,30),
    "numeric" DECIMAL(65,30),
    "money" MONEY,
    "datetime" TIMESTAMP(3),
    "timestamp6" TIMESTAMP(6),
    "timestamptz" TIMESTAMPTZ(6),
    "date" DATE,
    "time" TIME(6),
    "timetz" TIMETZ(6),
    "json" JSONB,
    "json text" JSON,
    "bytes" BYTEA,
    "mood" "archive"."Mood",
    "strings" TEXT[],
    "booleans" BOOLEAN[],
    "ints" INTEGER[],
    "bigints" BIGINT[],
    "floats" DOUBLE PRECISION[],
    "decimals" DECIMAL(65,30)[],
    "datetimes" TIMESTAMP(3)[],
    "timestamptzs" TIMESTAMPTZ(6)[],
    "dates" DATE[],
    "times" TIME(6)[],
    "jsons" JSONB[],
    "bytes list" BYTEA[],
    "moods" "archive"."Mood"[],
    "uuids" UUID[],

    CONSTRAINT "every_type_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "archive"."Ticket, it's 🎫" (
    "region" TEXT NOT NULL,
    "number" BIGINT NOT NULL,
    "The Note — «why»" TEXT,

    CONSTRAINT "Ticket, it's 🎫_pkey" PRIMARY KEY ("region","number")
);

-- CreateTable
CREATE TABLE "a table whose name is exactly sixty-three bytes long, as it is." (
    "THE Id" SERIAL NOT NULL,
    "a column whose name is exactly sixty-three bytes long, 63 bytes" TEXT NOT NULL,

    CONSTRAINT "a table whose name is exactly sixty-three bytes long, as i_pkey" PRIMARY KEY ("THE Id")
);

-- CreateTable
CREATE TABLE "reading" (
    "sensor" TEXT NOT NULL,
    "value" DOUBLE PRECISION NOT NULL
);

-- CreateTable
CREATE TABLE "measurement" (
    "id" SERIAL NOT NULL,
    "day" DATE NOT NULL,
    "value" INTEGER NOT NULL,

    CONSTRAINT "measurement_pkey" PRIMARY KEY ("id","day")
) PARTITION BY RANGE ("day");

-- Prisma knows no partitions: written by hand
CREATE TABLE "measurement_2025" PARTITION OF "measurement" FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE "measurement_later" PARTITION OF "measurement" DEFAULT;

-- CreateIndex
CREATE UNIQUE INDEX "user_email_key" ON "user"("email");

-- CreateIndex
CREATE UNIQUE INDEX "reading_sensor_key" ON "reading"("sensor");

-- AddForeignKey
ALTER TABLE "media" ADD CONSTRAINT "media_owner_id_fkey" FOREIGN KEY ("owner_id") REFERENCES "user"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tag" ADD CONSTRAINT "tag_media_id_fkey" FOREIGN KEY ("media_id") REFERENCES "media"("id") ON DELETE CASCADE ON UPDATE CASCADE;
