module github.com/bot-bottle/action/e2e/forge

go 1.26
