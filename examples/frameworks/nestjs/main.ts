import 'reflect-metadata'
import type { Server } from 'node:net'
import { NestFactory } from '@nestjs/core'
import { tellAddress } from '../src/tell-address.ts'
import { AppModule } from './app.module.ts'

const app = await NestFactory.create(AppModule, { logger: false })
await app.listen(0, '127.0.0.1')
tellAddress(app.getHttpServer() as Server)
