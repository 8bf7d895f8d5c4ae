from ltvm.cli.main import main

raise SystemExit(main())
